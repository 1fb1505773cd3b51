"""One study is fetched: C-MOVE to ourselves, or C-GET, until what was listed is durable.

The final status of the remote is a hint and never believed alone: completeness is counted in
durable rows. Every way to fail ends in a sentence that says who can mend it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
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
    `next_attempt` is when to try again, in seconds since 1970.
    """

    result: Result
    arrived: int
    missing: int
    sentence: str
    next_attempt: float | None = None


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
        first, *others = methods(plan.remote)
        retrieval = self._attempt(plan, first, outstanding, progress)
        for method in others:
            if retrieval.arrived:
                break
            before = retrieval.sentence
            retrieval = self._attempt(plan, method, outstanding, progress)
            if retrieval.result != "complete":
                retrieval = replace(retrieval, sentence=f"{before}; and then: {retrieval.sentence}")
        if retrieval.result == "complete":
            self.solicitation.end(outstanding)
        return retrieval

    def give_up(self, remote: RemoteAE, mapped: str, sentence: str) -> Retrieval:
        """Register that a study, by its mapped UID, could not even be listed, and pause it."""
        number = self.catalogue.begin_retrieval(mapped, remote.name, "find", 0)
        next_attempt = self._next_attempt(remote, mapped, progress=False)
        self.catalogue.end_retrieval(number, "failed", sentence, 0, next_attempt)
        return Retrieval("failed", 0, 0, sentence, next_attempt)

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
        next_attempt = None
        if missing:
            next_attempt = self._next_attempt(plan.remote, plan.mapped, progress=bool(arrived))
        self.catalogue.end_retrieval(number, result, sentence, arrived, next_attempt)
        return Retrieval(result, arrived, missing, sentence, next_attempt)

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

        get = partial(self.requestor.get, modalities=plan.modalities)
        ask = self.requestor.move if method == "move" else get
        try:
            answer = ask(plan.remote, plan.study, activity, outstanding.active)
        except RequestFailed as failure:
            if failure.kind in _NOTHING_WILL_COME:
                return failure.sentence
            self._wait_settled(outstanding, progress)
            return self._refused(plan.remote, outstanding) or failure.sentence
        if answer.status != MOVE_DESTINATION_UNKNOWN:
            self._wait_settled(outstanding, progress)
        sentence = self._explain(plan.remote, method, answer, outstanding)
        return self._refused(plan.remote, outstanding) or sentence

    def _wait_settled(self, outstanding: Outstanding, progress: Callable[[], None]) -> None:
        """Wait for what is still arriving, but not for a remote that never ends to send."""
        end = time.monotonic() + self.query.timeouts.total
        while not outstanding.wait_settled(self.query.settle, at_most=1.0):
            progress()
            if time.monotonic() > end:
                return

    def _next_attempt(self, remote: RemoteAE, mapped: str, progress: bool) -> float:
        """When to try again; the pause does not grow while there is progress.

        Each attempt begins with the first method, so that several count as one failure.
        """
        failures = -(-self.catalogue.attempts(mapped, remote.name) // len(methods(remote)))
        return self.clock() + pause(self.query, 1 if progress else failures)

    def _explain(
        self, remote: RemoteAE, method: Method, answer: SubOperations, outstanding: Outstanding
    ) -> str:
        # A remote's own comment stays out of the catalogue: it may name the patient.
        status = f"status 0x{answer.status:04X}"
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
                f"present address and port {self.ae.port}, and that a firewall lets it through; if "
                "this box rejected its association (the events tell), name its title and address "
                "in calls_as and calls_from"
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


def methods(remote: RemoteAE) -> tuple[Method, ...]:
    """How we fetch from `remote`, in the order in which it is tried."""
    if remote.retrieve == "auto":
        return ("move", "get")
    return (remote.retrieve,)


def _counted(answer: SubOperations) -> str:
    if answer.completed is None and answer.failed is None:
        return ""
    return f", {answer.completed or 0} completed, {answer.failed or 0} failed"
