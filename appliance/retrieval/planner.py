"""The difference: what a remote has of a study minus what the catalogue holds durably.

Query is hierarchical, STUDY then SERIES then IMAGE, one C-FIND per association, as the conformance
statement says; relational where the remote's settings allow it (PS3.4 Section C.4.1.2).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom.config import IGNORE
from pydicom.uid import UID

from appliance.archive.catalogue import Catalogue
from appliance.dicom.matches import Level, Match
from appliance.dicom.scu import OneInstance, RequestFailed, Requestor
from appliance.images.deidentify import Deidentifier
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import RemoteAE, Watch

_DICOM = "1.2.840.10008."
_STORAGE = ("1.2.840.10008.5.1.4.1.1.", "1.2.840.10008.5.1.4.34.")
"""The roots of the standard's UIDs, and of those of its storage classes (PS3.4 Table B.5-1)."""


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is to be fetched of one study.

    `study` is the remote's own Study Instance UID and stays in memory; `mapped` and the instance
    sets are as the catalogue knows them. `listed` is everything that the remote has of the study
    and that we take, with its own UIDs for it; `untaken` the SOP classes of the rest as far as it
    tells them; `modalities` are those of its series where they were asked for.
    """

    remote: RemoteAE
    study: str
    mapped: str
    listed: Mapping[str, OneInstance]
    missing: frozenset[str]
    modalities: frozenset[str] = frozenset()
    untaken: frozenset[str] = frozenset()

    @property
    def holds_some(self) -> bool:
        """Whether something of what is listed was held already."""
        return len(self.missing) < len(self.listed)


@dataclass(frozen=True, slots=True)
class Planner:
    """Asks remotes what they have and compares it with what is held.

    `storage_classes` are the SOP classes that we accept: what is of another one never comes.
    """

    requestor: Requestor
    catalogue: Catalogue
    deidentifier: Deidentifier
    storage_classes: frozenset[str]

    def wanted_studies(
        self, remote: RemoteAE, watch_list: WatchList, entry: Watch
    ) -> tuple[str, ...]:
        """Return the studies of `remote` (its own UIDs) that `entry` wants, each once.

        Raises RequestFailed when the remote cannot be asked, or answers with other patients.
        """
        # One by one: a remote that minds no key returns all that it has.
        wanted: dict[str, None] = {}
        any_came = any_matched = False
        for study in self.requestor.find(remote, "STUDY", watch_list.keys(entry)):
            any_came = True
            any_matched = any_matched or study.patient_id == entry.patient_id
            if watch_list.wants(entry, study):
                wanted[study.study] = None
        if any_came and not any_matched:
            raise RequestFailed(
                "status",
                f"{remote.name} was asked for one Patient ID and returned studies of others, or "
                "without a Patient ID: its administrator must let it match and return Patient ID "
                "(0010,0020) at study level",
            )
        return tuple(wanted)

    def plan(
        self, remote: RemoteAE, study: str, progress: Callable[[], None] = lambda: None
    ) -> StudyPlan:
        """List the instances of `study` (the remote's UID) and return what is missing of them.

        `progress` is called before each query. Raises RequestFailed when the remote cannot be
        asked.
        """
        series = self._series(remote, study, progress)
        listed: dict[str, OneInstance] = {}
        untaken: set[str] = set()
        for match in self._instances(remote, study, series, progress):
            if self.takes(match):
                instance = self.deidentifier.uid(match.instance)
                listed[instance] = OneInstance(match.series, match.instance)
            else:
                untaken.add(match.sop_class)
        mapped = self.deidentifier.uid(study)
        self.catalogue.list_study(mapped, remote.name, listed.keys())
        missing = listed.keys() - self.catalogue.held(mapped)
        modalities = frozenset(match.modality for match in series)
        return StudyPlan(
            remote, study, mapped, listed, frozenset(missing), modalities, frozenset(untaken)
        )

    def takes(self, instance: Match) -> bool:
        """Whether an instance is of a class that we accept, as far as its remote tells.

        One that names no storage class, but something else or nothing, may be of any.
        """
        named = UID(instance.sop_class, validation_mode=IGNORE)
        if named in self.storage_classes or not named.is_valid:
            return True
        return named.startswith(_DICOM) and not named.startswith(_STORAGE)

    def _series(
        self, remote: RemoteAE, study: str, progress: Callable[[], None]
    ) -> Sequence[Match]:
        """List the series, unless the remote finds the instances of a study without them."""
        if remote.relational:
            return ()
        return self._within(remote, "SERIES", {"StudyInstanceUID": study}, progress)

    def _instances(
        self, remote: RemoteAE, study: str, series: Sequence[Match], progress: Callable[[], None]
    ) -> Iterator[Match]:
        keys = {"StudyInstanceUID": study}
        if remote.relational:
            yield from self._within(remote, "IMAGE", keys, progress)
        for uid in dict.fromkeys(match.series for match in series):
            yield from self._within(remote, "IMAGE", {**keys, "SeriesInstanceUID": uid}, progress)

    def _within(
        self, remote: RemoteAE, level: Level, keys: dict[str, str], progress: Callable[[], None]
    ) -> list[Match]:
        """Ask one query; what lies in another study, or names no entity of the level, is left."""
        progress()
        return [
            replace(match, series=match.series or keys.get("SeriesInstanceUID", ""))
            for match in self.requestor.find(remote, level, keys)
            if match.study in ("", keys["StudyInstanceUID"])
            and match.series in ("", keys.get("SeriesInstanceUID", match.series))
            and (match.instance if level == "IMAGE" else match.series)
        ]
