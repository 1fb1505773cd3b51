"""A vendor's web server: over HTTPS, in whole or in parts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.image.patience import SOON, until


def files(folder: Path) -> Starlette:
    """What is in a folder."""
    return Starlette(routes=[Mount("/", StaticFiles(directory=folder))])


@contextmanager
def served(application: Starlette, certificate: Path, key: Path) -> Iterator[int]:
    """Serve an application on all addresses of this machine; yields the port."""
    settings = uvicorn.Config(
        application, "0.0.0.0", 0, ssl_certfile=certificate, ssl_keyfile=key, log_level="warning"
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until("the web server", lambda: server.started or not thread.is_alive(), SOON)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(SOON)
