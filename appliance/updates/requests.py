"""What the page asks for: a file that it puts down, and that is taken up once."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.health.reports import Unreadable, from_json, write_report

FOLDER: Final = "netty-requests"
"""Where the page may write, below /run."""
UPLOADS: Final = Path("/data/uploads")
"""Where the page puts a bundle that somebody gave it."""

_REQUEST = f"{FOLDER}/update.json"
_LARGEST = 4096


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """Somebody wants a bundle installed."""

    source: str
    """An address that begins with https://, or the name of a file among the uploads."""
    while_receiving: bool = False
    """Even if images are arriving."""


def ask(request: UpdateRequest, run: Path = Path("/run")) -> None:
    """Have a bundle installed; what becomes of it is told in `installation.RESULT`.

    Raises OSError.
    """
    write_report(run / _REQUEST, request)


def is_served(run: Path = Path("/run")) -> bool:
    """Whether this machine takes such requests: a box does, a PC does not."""
    return (run / FOLDER).is_dir()


def is_asked(run: Path = Path("/run")) -> bool:
    """Whether a request waits to be taken up."""
    return (run / _REQUEST).exists()


def taken(run: Path, uploads: Path = UPLOADS) -> tuple[str, bool] | None:
    """Take up what was asked for: source for RAUC, and whether arriving images do not matter.

    None if there is nothing, or nothing that may be asked for.
    """
    path = run / _REQUEST
    with suppress(OSError, ValueError, Unreadable):
        try:
            with path.open("rb") as file:
                request = from_json(UpdateRequest, json.loads(file.read(_LARGEST)))
        finally:
            path.unlink(missing_ok=True)
        if request.source.startswith("https://"):
            return request.source, request.while_receiving
        if re.fullmatch(r"[\w.-]+\.raucb", request.source):
            return str(uploads / request.source), request.while_receiving
    return None
