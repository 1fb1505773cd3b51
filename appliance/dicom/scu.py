"""The box as requestor: C-ECHO, C-FIND, C-MOVE and C-GET (PS3.4 Annexes A and C, PS3.7 Section 9).

One service per association, Study Root only, Implicit VR Little Endian. Three timers guard each
request: from the association request to its establishment, from one response to the next, and from
establishment to the end. When one runs out, the connection is closed.
"""

import queue
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

from pynetdicom import build_role
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from appliance.dicom.associations import ApplicationContext, QuietAssociation, ReadAheadSocket
from appliance.dicom.inline import LOW_PRIORITY, Refusing, StoreReader, find_request
from appliance.dicom.matches import (
    Garbled,
    Level,
    Match,
    identifier,
    instances_identifier,
    read_match,
    study_identifier,
)
from appliance.dicom.remotes import Caller
from appliance.dicom.scp import StorageProvider
from appliance.dicom.sop_classes import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    LARGEST_PROPOSAL,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    compressed_contexts,
    storage_classes,
    uncompressed_syntaxes,
)
from appliance.dicom.statuses import PENDING, SOP_CLASS_NOT_SUPPORTED, StoreStatus
from appliance.settings.model import LocalAE, RemoteAE, Timeouts
from appliance.settings.problems import Obstacle

Failure = Literal[
    "unreachable", "rejected", "unsupported", "timeout", "aborted", "garbled", "status"
]

LARGEST_LIST = 100
"""SOP Instance UIDs in one identifier, at most."""

_RELEASE_WITHIN = 5.0
_SHORTEST_TRY = 1.0
_LARGEST_FIND_COMMAND = 256
_NO_STORAGE = Refusing(StoreStatus(SOP_CLASS_NOT_SUPPORTED, "nothing is stored here"))


class RequestFailed(Obstacle):
    """A request to a remote AE failed; `sentence` says what happened and who can mend it.

    `kind` tells how far it came; `status` is the DIMSE status where there was one. `comment` is the
    remote's own, which may name a patient: it is for the person who asked, never for the catalogue.
    """

    def __init__(
        self, kind: Failure, sentence: str, status: int | None = None, comment: str = ""
    ) -> None:
        super().__init__(f"{sentence} ({comment})" if comment else sentence)
        self.kind = kind
        self.sentence = sentence
        self.status = status


@dataclass(frozen=True, slots=True)
class SubOperations:
    """The last C-MOVE-RSP or C-GET-RSP (PS3.7 Tables 9.1-4 and 9.3-8).

    The counters are None where the remote left them out.
    """

    status: int
    completed: int | None
    failed: int | None
    warning: int | None
    comment: str


@dataclass(frozen=True, slots=True)
class OneInstance:
    """An instance of a study, by the remote's own UIDs."""

    series: str
    instance: str


@dataclass(frozen=True, slots=True)
class Requestor:
    """Our AE as SCU.

    `proven` are the transfer syntaxes proposed for C-GET; `storage` receives what a C-GET returns;
    `tls` is used for the remotes whose settings say so.
    """

    ae: LocalAE
    timeouts: Timeouts
    tls: ssl.SSLContext | None = None
    proven: tuple[str, ...] = ()
    storage: StorageProvider | None = None

    def echo(self, remote: RemoteAE) -> float:
        """Verify the connection; return the seconds that it took. Raises RequestFailed."""
        began = time.monotonic()
        with self._association(remote, [_context(VERIFICATION)]) as association:
            request = C_ECHO()
            request.MessageID = 1
            request.AffectedSOPClassUID = VERIFICATION
            for response in self._ask(remote, association, request, VERIFICATION):
                _require_success(remote, "C-ECHO", response)
                break
        return time.monotonic() - began

    def associate(self, remote: RemoteAE) -> None:
        """Establish an association and release it. Raises RequestFailed.

        Of kind "unsupported", there was one, but Verification is not offered.
        """
        with self._association(remote, [_context(VERIFICATION)]):
            pass

    def find(self, remote: RemoteAE, level: Level, keys: dict[str, str]) -> Iterator[Match]:
        """Yield what `remote` has at `level`; `keys` are matching keys by keyword.

        Raises RequestFailed, also after some matches.
        """
        with self.finder(remote) as find:
            yield from find(level, keys)

    @contextmanager
    def finder(
        self, remote: RemoteAE
    ) -> Iterator[Callable[[Level, dict[str, str]], Iterator[Match]]]:
        """Open an association for C-FIND; the box itself asks one query on each."""
        extended = [_relational()] if remote.relational else []
        contexts = [_context(STUDY_ROOT_FIND)]
        with self._association(remote, contexts, extended) as association:
            yield lambda level, keys: self._find(remote, association, level, keys)

    def _find(
        self, remote: RemoteAE, association: QuietAssociation, level: Level, keys: dict[str, str]
    ) -> Iterator[Match]:
        request = C_FIND()
        request.MessageID = 1
        request.AffectedSOPClassUID = STUDY_ROOT_FIND
        request.Priority = LOW_PRIORITY
        request.Identifier = BytesIO(identifier(level, keys, remote.character_set, self.ae.profile))
        for response in self._ask(remote, association, request, STUDY_ROOT_FIND):
            if response.Status not in PENDING:
                _require_success(remote, "C-FIND", response)
                return
            if response.Identifier and (data := response.Identifier.getvalue()):
                yield _match(remote, level, data)

    def move(
        self,
        remote: RemoteAE,
        study: str,
        activity: Callable[[], float],
        progress: Callable[[], None] = lambda: None,
        some: Sequence[OneInstance] = (),
    ) -> SubOperations:
        """Have `remote` send the study (original UID), or `some` of one series, to our AE title.

        `activity` returns the monotonic time of the last C-STORE of this study; `progress` is
        called at each pending response. Raises RequestFailed when no final response comes.
        """
        with self._association(remote, [_context(STUDY_ROOT_MOVE)]) as association:
            request = C_MOVE()
            request.MessageID = 1
            request.AffectedSOPClassUID = STUDY_ROOT_MOVE
            request.Priority = LOW_PRIORITY
            request.MoveDestination = self.ae.title
            request.Identifier = BytesIO(_wanted(study, some))
            return self._sub_operations(
                remote, association, request, STUDY_ROOT_MOVE, activity, progress
            )

    def get(
        self,
        remote: RemoteAE,
        study: str,
        activity: Callable[[], float],
        progress: Callable[[], None] = lambda: None,
        modalities: Collection[str] = (),
        some: Sequence[OneInstance] = (),
    ) -> SubOperations:
        """Have `remote` send the study, or `some` of one series, on the association that we open.

        `modalities` are those of its series as far as known; they decide in which compressed
        syntaxes it may come.
        """
        if self.storage is None:
            raise ValueError("a C-GET needs a storage service")
        contexts, roles = self._get_proposal(modalities)
        with self._association(remote, contexts, roles) as association:
            service = self.storage.for_caller(Caller(remote))
            association.dul.reader = StoreReader(association.dul, service)
            request = C_GET()
            request.MessageID = 1
            request.AffectedSOPClassUID = STUDY_ROOT_GET
            request.Priority = LOW_PRIORITY
            request.Identifier = BytesIO(_wanted(study, some))
            return self._sub_operations(
                remote, association, request, STUDY_ROOT_GET, activity, progress
            )

    def _get_proposal(
        self, modalities: Collection[str]
    ) -> tuple[list[PresentationContext], list[Any]]:
        """Propose each class uncompressed, then the likeliest compressed ones while room lasts."""
        profile = self.ae.profile
        classes = storage_classes(profile)
        native = uncompressed_syntaxes(profile, self.proven)
        contexts = [_context(STUDY_ROOT_GET)]
        contexts += [build_context(row.uid, list(native)) for row in classes]
        contexts += [
            build_context(uid, [syntax])
            for uid, syntax in compressed_contexts(profile, self.proven, modalities)
        ]
        roles = [build_role(row.uid, scp_role=True) for row in classes]
        return contexts[:LARGEST_PROPOSAL], roles

    def _sub_operations(
        self,
        remote: RemoteAE,
        association: QuietAssociation,
        request: C_MOVE | C_GET,
        sop_class: str,
        activity: Callable[[], float],
        progress: Callable[[], None],
    ) -> SubOperations:
        for response in self._ask(remote, association, request, sop_class, activity):
            if response.Status in PENDING:
                progress()
                continue
            return SubOperations(
                status=int(response.Status),
                completed=response.NumberOfCompletedSuboperations,
                failed=response.NumberOfFailedSuboperations,
                warning=response.NumberOfWarningSuboperations,
                comment=_comment(response),
            )
        raise RequestFailed("aborted", f"{remote.name} ended the association without an answer")

    def _ask(
        self,
        remote: RemoteAE,
        association: QuietAssociation,
        request: Any,
        sop_class: str,
        activity: Callable[[], float] = lambda: 0.0,
    ) -> Iterator[Any]:
        """Send `request` and yield the responses; the caller stops at the final one."""
        _send(association, request, _context_id(association, sop_class))
        began = answered = time.monotonic()
        while True:
            now = time.monotonic()
            silent_until = max(answered, activity()) + self.timeouts.response
            left = min(silent_until, began + self.timeouts.total) - now
            if left <= 0:
                raise self._timed_out(remote, association, now - began)
            try:
                _, response = association.dimse.msg_queue.get(timeout=min(left, 1.0))
            except queue.Empty:
                if association.dul.is_alive():
                    continue
                response = None
            if response is None:
                raise RequestFailed(
                    "aborted",
                    f"{remote.name} broke the association off before it had answered; "
                    "its own log says why",
                )
            if not isinstance(response, type(request)) or response.Status is None:
                continue  # It asks for something, or answers nothing.
            answered = time.monotonic()
            yield response

    def _timed_out(
        self, remote: RemoteAE, association: QuietAssociation, elapsed: float
    ) -> RequestFailed:
        association.connection.cut()
        if elapsed >= self.timeouts.total:
            limit, timer = f"the request was not finished within {self.timeouts.total} s", "total"
        else:
            limit, timer = f"nothing came for {self.timeouts.response} s", "response"
        return RequestFailed(
            "timeout",
            f"{remote.name} was too slow ({limit}); the connection was closed; its administrator "
            f"must find out what keeps it, or query.timeouts.{timer} must be longer",
        )

    @contextmanager
    def _association(
        self,
        remote: RemoteAE,
        contexts: Sequence[PresentationContext],
        extended: Sequence[Any] = (),
    ) -> Iterator[QuietAssociation]:
        association = self._reached(remote, contexts, extended)
        try:
            _require_established(remote, association, self.ae.title)
            try:
                yield association
            except RequestFailed as failure:
                if failure.kind == "status":
                    _release(association)
                raise
            _release(association)
        finally:
            _end(association)

    def _reached(
        self, remote: RemoteAE, contexts: Sequence[PresentationContext], extended: Sequence[Any]
    ) -> QuietAssociation:
        """Request an association at one address after the other, until there is a connection.

        They share the time for an association, and what one leaves is for those after it.
        """
        deadline = time.monotonic() + self.timeouts.association
        addresses = _resolve(remote)
        while True:
            address = addresses.pop(0)
            within = (deadline - time.monotonic()) / (len(addresses) + 1)
            association = self._requested(remote, address, contexts, extended)
            association.connection_timeout = max(_SHORTEST_TRY, within)
            association.connection.deadline = deadline
            association.request()
            if not addresses or _was_connected(association):
                return association
            _end(association)

    def _requested(
        self,
        remote: RemoteAE,
        address: AddressInformation,
        contexts: Sequence[PresentationContext],
        extended: Sequence[Any],
    ) -> QuietAssociation:
        application = ApplicationContext(self.ae.title, self.ae.max_pdu)
        application.acse_timeout = self.timeouts.association
        application.network_timeout = self.timeouts.association
        association = QuietAssociation(application, "requestor")
        local = ("::", 0) if address.is_ipv6 else ("", 0)
        connection = ReadAheadSocket(
            association, address=AddressInformation(*local), stall=self.timeouts.response
        )
        if remote.tls:
            if self.tls is None:
                raise RequestFailed(
                    "unreachable", f"{remote.name} is set to TLS but the settings have no [tls]"
                )
            connection.tls_args = (self.tls, remote.host)
        association.set_socket(connection)
        association.dul.reader = StoreReader(association.dul, _NO_STORAGE)
        association.acceptor.ae_title = remote.title
        association.acceptor.address_info = address
        requestor = association.requestor
        requestor.address_info = AddressInformation(*local)
        requestor.ae_title = self.ae.title
        requestor.maximum_length = self.ae.max_pdu
        requestor.implementation_class_uid = application.implementation_class_uid
        requestor.implementation_version_name = application.implementation_version_name
        for item in extended:
            requestor.add_negotiation_item(item)
        for number, context in enumerate(contexts):
            context.context_id = 2 * number + 1
        requestor.requested_contexts = list(contexts)
        return association


def _wanted(study: str, some: Sequence[OneInstance]) -> bytes:
    """For the study, or for `some` instances of one of its series (PS3.4 Section C.4.2.2.1)."""
    if not some:
        return study_identifier(study)
    return instances_identifier(study, some[0].series, [one.instance for one in some])


def _context(sop_class: str) -> PresentationContext:
    return build_context(sop_class, IMPLICIT_VR_LITTLE_ENDIAN)


def _relational() -> SOPClassExtendedNegotiation:
    """Ask for relational queries (PS3.4 Section C.5.1.1)."""
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = STUDY_ROOT_FIND
    item.service_class_application_information = b"\x01"
    return item


def _match(remote: RemoteAE, level: Level, data: bytes) -> Match:
    try:
        return read_match(level, data, remote.character_set)
    except Garbled as error:
        raise RequestFailed(
            "garbled", f"{remote.name} answered C-FIND with what cannot be understood ({error})"
        ) from None


def _resolve(remote: RemoteAE) -> list[AddressInformation]:
    """All addresses of the remote, the preferred one first (RFC 6724)."""
    try:
        found = socket.getaddrinfo(remote.host, remote.port, type=socket.SOCK_STREAM)
    except OSError:
        raise RequestFailed(
            "unreachable",
            f"the host name {remote.host} of {remote.name} is not known in this network; "
            "check the name, or write its address",
        ) from None
    addresses = dict.fromkeys((str(host), int(port)) for *_, (host, port, *_) in found)
    return [AddressInformation(host, port) for host, port in addresses]


def _was_connected(association: QuietAssociation) -> bool:
    """Whether there was a connection: its local port is known then, even if it is gone by now."""
    ours = association.requestor.address_info
    return ours is not None and bool(ours.port)


def _end(association: QuietAssociation) -> None:
    association.connection.cut()
    association.dul.kill_dul()


def _context_id(association: QuietAssociation, sop_class: str) -> int:
    for context_id, context in association._accepted_cx.items():
        if context.abstract_syntax == sop_class:
            return context_id
    raise RequestFailed("unsupported", f"the remote does not offer {sop_class}")


def _send(association: QuietAssociation, request: Any, context_id: int) -> None:
    """Send `request`; a C-FIND-RQ, of which there are many, as bytes made here."""
    if isinstance(request, C_FIND) and request.Identifier is not None:
        identifier = request.Identifier.getvalue()
        largest = association.dimse.maximum_pdu_size
        if not largest or len(identifier) + _LARGEST_FIND_COMMAND <= largest:
            sop_class = str(request.AffectedSOPClassUID)
            for part in find_request(context_id, sop_class, identifier):
                association.dul.send_pdu(part)
            return
    association.dimse.send_msg(request, context_id)


def _require_established(remote: RemoteAE, association: QuietAssociation, title: str) -> None:
    if association.is_established:
        return
    # Of a connection that is closed again already, pynetdicom does not look for the answer.
    answer = association.acceptor.primitive or association.dul.receive_pdu(wait=False)
    where = f"{remote.name} ({remote.host}:{remote.port})"
    if isinstance(answer, A_ASSOCIATE) and answer.result:
        raise RequestFailed("rejected", _rejection_sentence(remote, answer, title))
    if isinstance(answer, A_ASSOCIATE):
        raise RequestFailed(
            "unsupported",
            f"{where} accepts the association but not the service that was asked for; "
            "its administrator must enable it for our AE title " + title,
        )
    if not _was_connected(association):
        over_tls = " over TLS, or the certificates do not suit each other" if remote.tls else ""
        raise RequestFailed(
            "unreachable",
            f"{where} cannot be reached: nothing answers on that port{over_tls}; check that it is "
            "switched on, that host and port are right, and that no firewall is between",
        )
    raise RequestFailed("timeout", f"{where} connects but does not answer as a DICOM AE")


def _rejection_sentence(remote: RemoteAE, answer: A_ASSOCIATE, title: str) -> str:
    reasons = {
        (1, 3): f"it does not know our AE title {title}: its administrator must register it",
        (1, 7): f"it does not call itself {remote.title}: correct the title in the settings",
        (3, 1): "it is congested; it will be asked again",
        (3, 2): "it has too many associations open; it will be asked again",
    }
    key = (int(answer.result_source or 0), int(answer.diagnostic or 0))
    reason = reasons.get(key, f"its own log says why (source {key[0]}, reason {key[1]})")
    return f"{remote.name} rejected the association: {reason}"


def _require_success(remote: RemoteAE, service: str, response: Any) -> None:
    status = response.Status
    if status == 0x0000:
        return
    raise RequestFailed(
        "status",
        f"{remote.name} answered {service} with status 0x{status:04X}; its own log says why",
        status,
        _comment(response),
    )


def _comment(response: Any) -> str:
    """The Error Comment (0000,0902), of one line that no terminal takes for a command."""
    text = str(getattr(response, "ErrorComment", None) or "")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _release(association: QuietAssociation) -> None:
    """Release the association; a remote that does not answer the release is cut off."""
    association.acse.send_release(is_response=False)
    answer = association.dul.receive_pdu(wait=True, timeout=_RELEASE_WITHIN)
    if isinstance(answer, A_ABORT | A_P_ABORT) or answer is None:
        return
    association.dul.join(_RELEASE_WITHIN)
