"""One study is fetched: C-MOVE to ourselves, or C-GET, until what was listed is durable.

The final status of the remote is a hint and never believed alone: completeness is counted in
durable rows. Every way to fail ends in a sentence that says who can mend it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from appliance.archive.catalogue import Catalogue
from appliance.dicom.scu import RequestFailed, Requestor, SubOperations
from appliance.dicom.solicitation import Outstanding, Solicitation
from appliance.retrieval.planner import StudyPlan
from appliance.settings.model import LocalAE, Query, RemoteAE

Method = Literal["move", "get"]
Result = Literal["complete", "partial", "failed"]

MOVE_DESTINATION_UNKNOWN = 0xA801
_NOTHING_WILL_COME = ("unreachable", "rejected", "unsupported")
_OUT_OF_RESOURCES = (0xA700, 0xA701, 0xA702)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How the retrieval of one study ended.

    `arrived` counts instances that became durable; `sentence` is empty when the study is complete.
    """

    result: Result
    arrived: int
    missing: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Retriever:
    """Fetches studies from remotes and judges the outcome by what is durable."""

    requestor: Requestor
    catalogue: Catalogue
    solicitation: Solicitation
    ae: LocalAE
    query: Query
    clock: Callable[[], float] = time.time

    def retrieve(self, plan: StudyPlan, progress: Callable[[], None] = lambda: None) -> Retrieval:
        """Fetch what is missing of `plan`; `progress` is called while it lasts."""
        outstanding = self.solicitation.ask(plan.remote.name, plan.study, plan.missing)
        methods: tuple[Method, ...] = _methods(plan.remote)
        retrieval = Retrieval("failed", 0, len(plan.missing), "")
        for method in methods:
            retrieval = self._attempt(plan, method, outstanding, progress)
            if retrieval.result == "complete" or retrieval.arrived:
                break
        if retrieval.result == "complete":
            self.solicitation.end(outstanding)
        return retrieval

    def _attempt(
        self,
        plan: StudyPlan,
        method: Method,
        outstanding: Outstanding,
        progress: Callable[[], None],
    ) -> Retrieval:
        number = self.catalogue.begin_retrieval(
            plan.mapped, plan.remote.name, method, len(outstanding.still_missing)
        )
        sentence = self._transfer(plan, method, outstanding, progress)
        missing = len(outstanding.still_missing)
        arrived = len(plan.missing) - missing
        result: Result = "failed"
        if not missing:
            result, sentence = "complete", ""
        elif arrived:
            result = "partial"
        self.catalogue.end_retrieval(
            number, result, sentence, arrived, self._next_attempt(plan, result)
        )
        return Retrieval(result, arrived, missing, sentence)

    def _transfer(
        self,
        plan: StudyPlan,
        method: Method,
        outstanding: Outstanding,
        progress: Callable[[], None],
    ) -> str:
        """Run the request and wait for its instances; return what to say if some are missing."""

        def activity() -> float:
            progress()
            return outstanding.last_activity

        ask = self.requestor.move if method == "move" else self.requestor.get
        try:
            answer = ask(plan.remote, plan.study, activity, outstanding.active)
        except RequestFailed as failure:
            if failure.kind in _NOTHING_WILL_COME:
                return failure.sentence
            outstanding.wait_settled(self.query.settle)
            return self._refused(plan.remote, outstanding) or failure.sentence
        if answer.status != MOVE_DESTINATION_UNKNOWN:
            outstanding.wait_settled(self.query.settle)
        sentence = self._explain(plan.remote, method, answer, outstanding)
        return self._refused(plan.remote, outstanding) or sentence

    def _next_attempt(self, plan: StudyPlan, result: Result) -> float | None:
        if result == "complete":
            return None
        attempts = self.catalogue.attempts(plan.mapped)
        return self.clock() + pause(self.query, attempts)

    def _explain(
        self, remote: RemoteAE, method: Method, answer: SubOperations, outstanding: Outstanding
    ) -> str:
        status = f"status 0x{answer.status:04X}"
        if answer.comment:
            status += f", {answer.comment!a}"
        if method == "move" and answer.status == MOVE_DESTINATION_UNKNOWN:
            return (
                f"{remote.name} does not know where {self.ae.title} is: its administrator must "
                f"register the AE title {self.ae.title} with this box's address and port "
                f"{self.ae.port} as a destination ({status})"
            )
        if not outstanding.arrived and method == "move":
            return (
                f"{remote.name} answered the C-MOVE ({status}) but nothing arrived: its "
                f"administrator must check that {self.ae.title} is registered with this box's "
                f"present address and port {self.ae.port}, and that a firewall lets it through"
            )
        if answer.status in _OUT_OF_RESOURCES:
            return f"{remote.name} is out of resources ({status}); it will be asked again"
        counted = _counted(answer)
        return (
            f"{remote.name} did not send everything that it lists ({status}{counted}); its "
            "administrator can see in its log which instances failed"
        )

    @staticmethod
    def _refused(remote: RemoteAE, outstanding: Outstanding) -> str:
        if not outstanding.refused or not outstanding.still_missing:
            return ""
        return (
            f"{outstanding.refused} instances from {remote.name} were refused by this box, the "
            f"last one with {outstanding.refusal}"
        )


def pause(query: Query, failures: int) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row: doubling, bounded."""
    doublings = min(max(failures, 1) - 1, 32)
    return float(min(query.retry_first * 2**doublings, query.retry_longest))


def _methods(remote: RemoteAE) -> tuple[Method, ...]:
    if remote.retrieve == "auto":
        return ("move", "get")
    return (remote.retrieve,)


def _counted(answer: SubOperations) -> str:
    if answer.completed is None and answer.failed is None:
        return ""
    return f", {answer.completed or 0} completed, {answer.failed or 0} failed"
