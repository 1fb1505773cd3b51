"""What the page knows of the settings: read anew whenever they are others."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.health.reports import from_json
from appliance.settings.shown import Shown

LOGGER = logging.getLogger(__name__)

FILE: Final = "netty-panel/settings.json"
"""Where the settings are told to the page, below the run folder."""
LARGEST: Final = 16 << 20

Tell = Callable[[], Shown]
"""The settings, as they are told to the page; without any, `Shown()`."""


class ToldByFile:
    """Reads what was told under /run, when it changes."""

    def __init__(self, run: Path) -> None:
        self._path = run / FILE
        self._of: tuple[int, int] | None = None
        self._told = Shown()

    def __call__(self) -> Shown:
        """The settings of this moment; what cannot be read lets nobody in."""
        try:
            status = self._path.stat()
            of = (status.st_ino, status.st_mtime_ns)
            if of != self._of:
                self._told = self._read()
                self._of = of
        except FileNotFoundError:
            self._told, self._of = Shown(), None
        except (OSError, ValueError) as error:
            LOGGER.error("%s: %s", self._path, type(error).__name__)
            self._told, self._of = Shown(), None
        return self._told

    def _read(self) -> Shown:
        with self._path.open("rb") as file:
            return from_json(Shown, json.loads(file.read(LARGEST)))
