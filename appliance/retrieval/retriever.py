"""One study is fetched: C-MOVE to ourselves, or C-GET, until what was listed is durable.

The final status of the remote is a hint and never believed alone: completeness is counted in
durable rows. Every way to fail ends in a sentence that says who can mend it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from appliance.archive.catalogue import Catalogue
from appliance.dicom.scu import OneInstance, RequestFailed, Requestor, SubOperations
from appliance.dicom.solicitation import Outstanding, Solicitation
from appliance.dicom.statuses import MOVE_DESTINATION_UNKNOWN, REMOTE_OUT_OF_RESOURCES
from appliance.retrieval.planner import StudyPlan
from appliance.retrieval.rest import Rest
from appliance.settings.model import LocalAE, Query, RemoteAE

Method = Literal["move", "get"]
Result = Literal["complete", "partial", "failed"]

WEEK = 7 * 24 * 3600
_NOTHING_WILL_COME = ("unreachable", "rejected", "unsupported")


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
        next_attempt = self._next_attempt(remote, mapped, progress=False, futile=False)
        self.catalogue.end_retrieval(number, "failed", sentence, 0, next_attempt)
        return Retrieval("failed", 0, 0, sentence, next_attempt)

    def _attempt(
        self,
        plan: StudyPlan,
        method: Method,
        outstanding: Outstanding,
        progress: Callable[[], None],
    ) -> Retrieval:
        transfer = _Transfer(self.requestor, self.query, plan, method, outstanding, progress)
        is_retry = self._came_in_part(plan)
        number = self.catalogue.begin_retrieval(
            plan.mapped, plan.remote.name, method, len(outstanding.still_missing)
        )
        sentence, reaches_us = self._bring(transfer, is_retry)
        missing = len(outstanding.still_missing)
        arrived = len(plan.missing) - missing
        result: Result = "failed"
        if not missing:
            result, sentence = "complete", ""
        elif arrived:
            result = "partial"
        next_attempt = None
        if missing:
            futile = reaches_us and not outstanding.refused_for_now
            next_attempt = self._next_attempt(plan.remote, plan.mapped, bool(arrived), futile)
        self.catalogue.end_retrieval(number, result, sentence, arrived, next_attempt)
        return Retrieval(result, arrived, missing, sentence, next_attempt)

    def _came_in_part(self, plan: StudyPlan) -> bool:
        """Whether the whole study was asked for before, and came but for a rest."""
        return plan.holds_some and self.catalogue.attempts(plan.mapped, plan.remote.name) > 0

    def _bring(self, transfer: "_Transfer", is_retry: bool) -> tuple[str, bool]:
        """Run the requests and wait for their instances.

        Returns what to say if some are missing, and whether the remote can send us anything. The
        study as a whole, then its rest in parts; when it is tried again, the rest comes first.
        The strict profile asks for whole studies alone, as the conformance statement does.
        """
        in_parts = self.ae.profile == "broad"
        if in_parts and is_retry and transfer.bring_rest():
            return self._explain_rest(transfer), True
        outstanding, remote = transfer.outstanding, transfer.plan.remote
        try:
            answer = transfer.ask()
        except RequestFailed as failure:
            if failure.kind in _NOTHING_WILL_COME:
                return failure.sentence, False
            transfer.settle()
            return self._refused(remote, outstanding) or failure.sentence, False
        if answer.status != MOVE_DESTINATION_UNKNOWN:
            settled = transfer.settle()
            if in_parts and settled and not is_retry:
                transfer.bring_rest()
        sentence = self._explain(remote, transfer.method, answer, outstanding)
        reaches_us = bool(outstanding.arrived) and answer.status not in REMOTE_OUT_OF_RESOURCES
        return self._refused(remote, outstanding) or sentence, reaches_us

    def _next_attempt(self, remote: RemoteAE, mapped: str, progress: bool, futile: bool) -> float:
        """When to try again; the pause does not grow while there is progress.

        It grows beyond the longest one if the attempt was `futile`: the remote can send to us, but
        not what is missing. Each attempt begins with the first method, so that several count as one
        failure.
        """
        failures = -(-self.catalogue.attempts(mapped, remote.name) // len(methods(remote)))
        longest = longest_pause(self.query) if futile else self.query.retry_longest
        return self.clock() + pause(self.query, 1 if progress else failures, longest)

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
        if answer.status in REMOTE_OUT_OF_RESOURCES:
            return f"{remote.name} is out of resources ({status}); it will be asked again"
        counted = _counted(answer)
        return (
            f"{remote.name} did not send everything that it lists ({status}{counted}); its "
            "administrator can see in its log which instances failed"
        )

    def _explain_rest(self, transfer: "_Transfer") -> str:
        outstanding, remote = transfer.outstanding, transfer.plan.remote
        return self._refused(remote, outstanding) or (
            f"{remote.name} was asked for {len(transfer.plan.missing)} single instances that it "
            f"lists, and did not send {len(outstanding.still_missing)} of them; its administrator "
            "can see in its log which ones failed"
        )

    @staticmethod
    def _refused(remote: RemoteAE, outstanding: Outstanding) -> str:
        if not outstanding.refused or not outstanding.still_missing:
            return ""
        return (
            f"{outstanding.refused} instances from {remote.name} were refused by this box, the "
            f"last one with {outstanding.refusal}"
        )


@dataclass(frozen=True, slots=True)
class _Transfer:
    """What one method brings of a study; `progress` is called while it lasts."""

    requestor: Requestor
    query: Query
    plan: StudyPlan
    method: Method
    outstanding: Outstanding
    progress: Callable[[], None]

    def ask(self, some: Sequence[OneInstance] = ()) -> SubOperations:
        """Ask for the study, or for `some` of one series. Raises RequestFailed."""
        get = partial(self.requestor.get, modalities=self.plan.modalities)
        ask = self.requestor.move if self.method == "move" else get
        plan, outstanding = self.plan, self.outstanding
        return ask(plan.remote, plan.study, self._activity, outstanding.active, some=some)

    def bring_rest(self) -> bool:
        """Ask for what is missing in parts; True if the remote serves such requests.

        That is, if something came, or it counts what it could not send. Ends where the remote does
        not end to send, where we have no room, and with a request that fails.
        """
        outstanding = self.outstanding
        before, rest, counts = len(outstanding.still_missing), Rest(self.plan.listed), False
        reaches_us = bool(outstanding.arrived) or self.plan.holds_some
        for part in rest.parts(outstanding.still_missing, reaches_us):
            if outstanding.refused_for_now:
                break
            try:
                answer = self.ask([self.plan.listed[instance] for instance in part])
            except RequestFailed:
                break
            counts = counts or bool(answer.failed)
            if not self.settle(frozenset(part)):
                break
            rest.left(part, outstanding.still_missing)
        return counts or len(outstanding.still_missing) < before

    def settle(self, wanted: frozenset[str] | None = None) -> bool:
        """Wait for what is still arriving; False for a remote that never ends to send."""
        end = time.monotonic() + self.query.timeouts.total
        while not self.outstanding.wait_settled(self.query.settle, at_most=1.0, wanted=wanted):
            self.progress()
            if time.monotonic() > end:
                return False
        return True

    def _activity(self) -> float:
        self.progress()
        return self.outstanding.last_activity


def pause(query: Query, failures: int, longest: float | None = None) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row: doubling, bounded.

    Without `longest` by the longest pause of the settings.
    """
    doublings = min(max(failures, 1) - 1, 32)
    bound = query.retry_longest if longest is None else longest
    return float(min(query.retry_first * 2**doublings, bound))


def longest_pause(query: Query) -> float:
    """The seconds between two attempts at a study of which the rest never comes, at most."""
    return float(max(query.retry_longest, WEEK))


def methods(remote: RemoteAE) -> tuple[Method, ...]:
    """How we fetch from `remote`, in the order in which it is tried."""
    if remote.retrieve == "auto":
        return ("move", "get")
    return (remote.retrieve,)


def _counted(answer: SubOperations) -> str:
    if answer.completed is None and answer.failed is None:
        return ""
    return f", {answer.completed or 0} completed, {answer.failed or 0} failed"
