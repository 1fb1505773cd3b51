"""The watch list: whose studies are wanted, and from which remote.

A PACS may ignore a matching key and return everybody; what it returns is held against the entry
again here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from appliance.dicom.matches import Match
from appliance.settings.model import Query, RemoteAE, Settings, Watch


@dataclass(frozen=True, slots=True)
class WatchList:
    """The watch entries of the settings with the limits that hold for all of them."""

    entries: tuple[Watch, ...]
    query: Query
    today: Callable[[], date] = date.today

    @classmethod
    def of(cls, settings: Settings) -> "WatchList":
        """Return the watch list of `settings`."""
        return cls(settings.watch, settings.query)

    def for_remote(self, remote: RemoteAE) -> tuple[Watch, ...]:
        """Return the entries for which `remote` is asked."""
        if not remote.query:
            return ()
        return tuple(
            entry for entry in self.entries if not entry.remotes or remote.name in entry.remotes
        )

    def keys(self, entry: Watch) -> dict[str, str]:
        """Return the matching keys of a STUDY level C-FIND for `entry`, by keyword."""
        keys = {"PatientID": entry.patient_id}
        if self.query.use_accession and entry.accession:
            keys["AccessionNumber"] = entry.accession
        return keys

    def wants(self, entry: Watch, study: Match) -> bool:
        """Return whether `study`, as a remote listed it, is one that `entry` asks for."""
        if study.patient_id != entry.patient_id or not _names_one(study.study):
            return False
        if self.query.use_accession and entry.accession and study.accession != entry.accession:
            return False
        earliest = self._earliest(entry)
        return earliest is None or not study.study_date or study.study_date >= earliest

    def _earliest(self, entry: Watch) -> str | None:
        """The first wanted study date as DICOM writes it (PS3.5 Section 6.2, DA)."""
        days = [entry.since] if entry.since else []
        if self.query.study_window is not None:
            days.append(self.today() - timedelta(seconds=self.query.study_window))
        return max(days).strftime("%Y%m%d") if days else None


def _names_one(uid: str) -> bool:
    """Whether a UID is there, and would not match several as a key (PS3.4 Section C.2.2.2)."""
    return bool(uid) and uid.isascii() and not set(uid) & set("*?\\")


def pseudonyms(watch: tuple[Watch, ...]) -> dict[str, str]:
    """Return the pseudonyms that the watch list names, by patient ID."""
    return {entry.patient_id: entry.pseudonym for entry in watch if entry.pseudonym}
