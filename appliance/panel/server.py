"""Serves the page over HTTP, and tells systemd that it does."""

import socket

import sdnotify
import uvicorn

from appliance.health.places import Places
from appliance.health.verdict import read_verdict
from appliance.panel.app import application, guarded

PINGS_EVERY = 50
"""Turns of uvicorn's loop, ten a second, between two signs of life."""


class Server(uvicorn.Server):
    """uvicorn that says when it is ready, and pings while its loop turns."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._notifier = sdnotify.SystemdNotifier()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self._notifier.notify("READY=1\nSTATUS=the page is up")

    async def on_tick(self, counter: int) -> bool:
        """Be called ten times a second; return whether to stop."""
        if counter % PINGS_EVERY == 0:
            self._notifier.notify("WATCHDOG=1")
        return await super().on_tick(counter)


def listening(port: int) -> socket.socket:
    """A socket that is reached by IPv4, and by IPv6 where there is any. Raises OSError."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            pass  # The kernel knows it, this network does not.
    return socket.create_server(("", port))


def serve(places: Places, port: int) -> None:
    """Serve the page of this box until SIGTERM. Raises OSError if the port is taken."""
    app = guarded(application(lambda: read_verdict(places)))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=200,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=16_384,
        ws="none",
        proxy_headers=False,
    )
    with listening(port) as listener:
        Server(config).run([listener])
