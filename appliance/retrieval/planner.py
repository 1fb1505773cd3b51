"""The difference: what a remote has of a study minus what the catalogue holds durably.

Query is hierarchical, STUDY then SERIES then IMAGE, one C-FIND per association, as the conformance
statement says; relational where the remote's settings allow it (PS3.4 Section C.4.1.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.archive.catalogue import Catalogue
from appliance.dicom.matches import Match
from appliance.dicom.scu import Requestor
from appliance.images.deidentify import Deidentifier
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import RemoteAE


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is to be fetched of one study.

    `study` is the remote's own Study Instance UID and stays in memory; `mapped` and the instance
    sets are as the catalogue knows them. `listed` is everything that the remote has of the study.
    """

    remote: RemoteAE
    study: str
    mapped: str
    listed: frozenset[str]
    missing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Planner:
    """Asks remotes what they have and compares it with what is held."""

    requestor: Requestor
    catalogue: Catalogue
    deidentifier: Deidentifier

    def wanted_studies(self, remote: RemoteAE, watch_list: WatchList) -> Iterator[Match]:
        """Yield the studies of `remote` that the watch list wants, each once.

        Raises RequestFailed when the remote cannot be asked.
        """
        seen: set[str] = set()
        for entry in watch_list.for_remote(remote):
            for study in self.requestor.find(remote, "STUDY", watch_list.keys(entry)):
                if study.study not in seen and watch_list.wants(entry, study):
                    seen.add(study.study)
                    yield study

    def plan(self, remote: RemoteAE, study: str) -> StudyPlan:
        """List the instances of `study` (the remote's UID) and return what is missing of them.

        Raises RequestFailed when the remote cannot be asked.
        """
        instances = frozenset(
            self.deidentifier.uid(match.instance)
            for match in self._instances(remote, study)
            if match.instance
        )
        mapped = self.deidentifier.uid(study)
        self.catalogue.list_study(mapped, remote.name, instances)
        return StudyPlan(remote, study, mapped, instances, instances - self.catalogue.held(mapped))

    def _instances(self, remote: RemoteAE, study: str) -> Iterator[Match]:
        if remote.relational:
            yield from self.requestor.find(remote, "IMAGE", {"StudyInstanceUID": study})
            return
        for series in list(self.requestor.find(remote, "SERIES", {"StudyInstanceUID": study})):
            if series.series:
                keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series.series}
                yield from self.requestor.find(remote, "IMAGE", keys)
