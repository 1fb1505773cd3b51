"""Another version of the box, asked for on the page: what runs, what was asked, what came of it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.health.reports import UPDATE, Unreadable, UpdateReport, read_report
from appliance.panel.uploads import BUNDLE, Uploads
from appliance.updates.installation import RESULT, Result
from appliance.updates.requests import UpdateRequest, ask, is_asked, is_served

LONGEST_ADDRESS: Final = 1000
_ADDRESS: Final = re.compile(r"https://[!-~]+")


@dataclass(frozen=True, slots=True)
class UpdateState:
    """How far the update is that was asked for."""

    under_way: bool
    """Asked for, or being written: the next one has to wait."""
    sentence: str
    """What it changes, once that is known."""
    result: Result | None
    """What came of the last one since the box started."""
    takes_files: bool
    """Whether there is a disk for a bundle that a browser sends."""


@dataclass(frozen=True, slots=True)
class Updating:
    """The page's side of updates, below `run`; bundles that browsers send go to `uploads`."""

    run: Path
    uploads: Uploads

    @property
    def state(self) -> UpdateState | None:
        """How far it is; None where nothing serves such a request, as on a PC."""
        if not is_served(self.run):
            return None
        report = UpdateReport()
        with suppress(Unreadable):
            report = read_report(self.run / UPDATE, UpdateReport)
        result = None
        with suppress(Unreadable):
            result = read_report(self.run / RESULT, Result)
        writing = report.phase == "writing"
        under_way = writing or is_asked(self.run)
        sentence = report.sentence if writing else ""
        return UpdateState(under_way, sentence, result, self.uploads.folder.is_dir())

    def ask(self, address: str, *, while_receiving: bool) -> bool:
        """Have the bundle at an address installed; False if that is none. Raises OSError."""
        if len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
            return False
        ask(UpdateRequest(address, while_receiving), self.run)
        return True

    def ask_for_upload(self, *, while_receiving: bool) -> None:
        """Have the bundle installed that was sent last. Raises OSError."""
        ask(UpdateRequest(BUNDLE, while_receiving), self.run)

    def begin(self) -> None:
        """Remove what an earlier process of the page left behind, unless it is being installed."""
        state = self.state
        if state is None or not state.under_way:
            self.uploads.clear()
