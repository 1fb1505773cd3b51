"""The box as acceptor: who may associate, and what they may do.

Verification and Storage SCP (PS3.4 Annexes A and B). pynetdicom negotiates; the rules of admission
and the storage of instances are ours.
"""

import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from pynetdicom import evt
from pynetdicom.association import ServiceUser
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation, AssociationServer

from appliance.dicom.associations import ApplicationContext, QuietAssociation, ReadAheadSocket
from appliance.dicom.inline import StoreReader, StoreService
from appliance.dicom.remotes import Caller, Remotes, parse_address
from appliance.dicom.sop_classes import (
    VERIFICATION,
    storage_classes,
    transfer_syntaxes,
    verification_syntaxes,
)
from appliance.settings.model import LocalAE

LOGGER = logging.getLogger(__name__)

REQUEST_WITHIN = 30.0
"""Seconds for TLS and the A-ASSOCIATE-RQ to arrive (the ARTIM timer of PS3.8 Section 9.1.5)."""

UNASSOCIATED_PER_ADDRESS = 128
"""Connections of one address that have not associated yet; more are closed at once."""

Rejection = tuple[int, int, int]
"""Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

CONTEXT_NAME_NOT_SUPPORTED: Rejection = (1, 1, 2)
CALLING_TITLE_NOT_RECOGNISED: Rejection = (1, 1, 3)
CALLED_TITLE_NOT_RECOGNISED: Rejection = (1, 1, 7)
TEMPORARY_CONGESTION: Rejection = (2, 3, 1)
LOCAL_LIMIT_EXCEEDED: Rejection = (2, 3, 2)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

UNRECOGNIZED_OPERATION = 0x0211
"""The status of any service other than C-ECHO and C-STORE (PS3.7 Section C.5.18)."""


class StorageProvider(Protocol):
    """Gives each association its storage service."""

    def for_caller(self, caller: Caller) -> StoreService:
        """Return the service for one association with `caller`."""


class CannotListen(OSError):
    """The port for incoming associations cannot be had; the text says what to do."""


class Admission:
    """Which association requests are accepted; counts the running associations of each remote."""

    def __init__(
        self,
        ae: LocalAE,
        remotes: Remotes,
        suspended: Callable[[], bool],
        note: Callable[[str, str], None],
    ) -> None:
        self._ae = ae
        self._remotes = remotes
        self._suspended = suspended
        self._note = note
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    def judge(self, request: A_ASSOCIATE, address: str) -> Caller | Rejection:
        """Return who calls, or how the request is rejected. Count an accepted one as running."""
        calling = str(request.calling_ae_title).strip()
        if str(request.application_context_name) != APPLICATION_CONTEXT:
            return self._reject(CONTEXT_NAME_NOT_SUPPORTED, calling, address, "application context")
        if str(request.called_ae_title).strip() != self._ae.title:
            reason = "it called another AE title than ours"
            return self._reject(CALLED_TITLE_NOT_RECOGNISED, calling, address, reason)
        caller = self._remotes.caller(calling, address)
        if caller is None:
            reason = "its AE title is not registered for this address"
            return self._reject(CALLING_TITLE_NOT_RECOGNISED, calling, address, reason)
        if caller.remote and self._ae.profile == "broad" and self._suspended():
            return self._reject(LOCAL_LIMIT_EXCEEDED, calling, address, "the box is suspended")
        if not self._enter(caller):
            reason = "it has as many associations as one remote may have"
            return self._reject(LOCAL_LIMIT_EXCEEDED, calling, address, reason)
        return caller

    def leave(self, caller: Caller) -> None:
        """Forget an association that ended."""
        with self._lock:
            self._running[caller.name] -= 1

    def running(self) -> int:
        """Return how many associations of remotes are running."""
        with self._lock:
            return sum(count for name, count in self._running.items() if name != "self")

    def _enter(self, caller: Caller) -> bool:
        with self._lock:
            if self._running[caller.name] >= self._ae.associations_per_remote:
                return False
            self._running[caller.name] += 1
            return True

    def _reject(self, rejection: Rejection, title: str, address: str, reason: str) -> Rejection:
        self._note("association rejected", f"{title!a} at {address} was rejected: {reason}")
        return rejection


class AcceptedAssociation(QuietAssociation):
    """An incoming association; judged when its request has arrived."""

    def __init__(
        self, ae: ApplicationContext, admission: Admission, storage: StorageProvider
    ) -> None:
        super().__init__(ae, "acceptor")
        self._admission = admission
        self._storage = storage
        self._caller: Caller | None = None
        self.counted = False
        self.bind(evt.EVT_REQUESTED, self._judge)

    def run_reactor(self) -> None:
        """Negotiate, serve, and leave the count of running associations right whatever happens."""
        try:
            super().run_reactor()
        finally:
            self.connection.cut()
            if self._caller is not None:
                self._admission.leave(self._caller)

    def _judge(self, event: evt.Event) -> None:
        request = self.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            self.is_aborted = True
            return
        address = cast(AddressInformation, self.requestor.address_info).address
        verdict = self._verdict(request, address)
        if isinstance(verdict, Caller):
            self._caller = verdict
            self.dul.reader = StoreReader(self.dul, self._storage.for_caller(verdict))
            return
        self.is_rejected = True
        self.acse.send_reject(*verdict)
        self._wait_rejected()

    def _verdict(self, request: A_ASSOCIATE, address: str) -> Caller | Rejection:
        """Judge the request; what cannot be judged is not let in."""
        try:
            return self._admission.judge(request, address)
        except Exception:
            LOGGER.exception("an association request from %s could not be judged", address)
            return TEMPORARY_CONGESTION

    def _wait_rejected(self) -> None:
        self.dul.join(REQUEST_WITHIN)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Answer C-ECHO, and refuse every service that the box does not offer (PS3.7 Annex C)."""
        context = self._accepted_cx.get(context_id)
        if context is None or not msg.is_valid_request or _is_verification(msg, context):
            super()._serve_request(msg, context_id)
            return
        response = type(msg)()
        response.MessageIDBeingRespondedTo = msg.MessageID
        response.Status = UNRECOGNIZED_OPERATION
        self.dimse.send_msg(response, context_id)


def _is_verification(message: Any, context: PresentationContext) -> bool:
    return isinstance(message, C_ECHO) and context.abstract_syntax == VERIFICATION


class Listener(AssociationServer):
    """Accepts connections; every connection has a thread of its own from the first byte on.

    The TLS handshake runs in that thread too, so that a silent peer delays nobody.
    """

    request_queue_size = 256

    def __init__(
        self,
        ae: LocalAE,
        admission: Admission,
        storage: StorageProvider,
        remotes: Remotes,
        contexts: Sequence[PresentationContext],
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        application = ApplicationContext(ae.title, ae.max_pdu)
        application.acse_timeout = REQUEST_WITHIN
        application.network_timeout = ae.stall
        application.maximum_associations = 1 << 30
        self._settings = ae
        self._admission = admission
        self._storage = storage
        self._remotes = remotes
        self._handshake = tls
        self._waiting: Counter[str] = Counter()
        self._associations: set[AcceptedAssociation] = set()
        self._lock = threading.Lock()
        super().__init__(application, (_bound_to(ae), port), ae.title, list(contexts))
        application._servers.append(cast(Any, self))

    @property
    def _listening(self) -> socket.socket:
        return cast(socket.socket, self.socket)

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Bind; the socket that accepts never times out. Raises CannotListen."""
        if self.address_family == socket.AF_INET6:
            self._listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            super().server_bind()
        except OSError as error:
            raise CannotListen(
                f"port {self.server_address[1]} cannot be listened on ({error.strerror}); is "
                "another service using it? Ports below 1024 need a right that systemd gives: as an "
                "ordinary user, choose another ae.port"
            ) from None
        self._listening.settimeout(None)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, without TLS yet; IPv4 addresses are seen as such."""
        connected, address = self._listening.accept()
        return connected, (str(parse_address(address[0])), *address[1:])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the address may have one more connection that has not associated."""
        address = str(client_address[0])
        with self._lock:
            if self._waiting[address] >= UNASSOCIATED_PER_ADDRESS:
                return False
            self._waiting[address] += 1
            return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread."""
        thread = threading.Thread(
            target=self._connected, args=(request, client_address), daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._no_longer_waiting(str(client_address[0]))
            raise

    def service_actions(self) -> None:
        """Nothing is left to be collected by hand: an association's end drops what it held."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong while accepting; the listener goes on."""
        LOGGER.exception("a connection from %s could not be accepted", client_address[0])

    def cut_all(self) -> None:
        """Shut down every connection that is open."""
        with self._lock:
            running = list(self._associations)
        for association in running:
            association.connection.cut()

    def _connected(self, connected: socket.socket, client_address: Any) -> None:
        address = str(client_address[0])
        association: AcceptedAssociation | None = None
        try:
            deadline = time.monotonic() + REQUEST_WITHIN
            secured = self._secure(connected)
            association = self._association(secured, client_address, deadline)
        except (OSError, ssl.SSLError) as error:
            LOGGER.info("a connection from %s ended in its TLS handshake: %s", address, error)
            connected.close()
        finally:
            if association is None:
                self._no_longer_waiting(address)
        if association is not None:
            self._run(association, address)

    def _secure(self, connected: socket.socket) -> socket.socket:
        if self._handshake is None:
            return connected
        connected.settimeout(REQUEST_WITHIN)
        return self._handshake.wrap_socket(connected, server_side=True)

    def _association(
        self, connected: socket.socket, client_address: Any, deadline: float
    ) -> AcceptedAssociation:
        application = cast(ApplicationContext, self.ae)
        association = AcceptedAssociation(application, self._admission, self._storage)
        association._server = self
        wrapped = ReadAheadSocket(association, connected, stall=self._settings.stall)
        wrapped.deadline = deadline
        association.set_socket(wrapped)
        acceptor: ServiceUser = association.acceptor
        acceptor.maximum_length = application.maximum_pdu_size
        acceptor.ae_title = self.ae_title
        acceptor.address_info = AddressInformation.from_tuple(self.server_address)
        acceptor.implementation_class_uid = application.implementation_class_uid
        acceptor.implementation_version_name = application.implementation_version_name
        acceptor.supported_contexts = self.contexts
        association.requestor.address_info = AddressInformation.from_tuple(client_address)
        association.bind(evt.EVT_ESTABLISHED, self._established, [str(client_address[0])])
        return association

    def _established(self, event: evt.Event, address: str) -> None:
        self._no_longer_waiting(address)
        cast(AcceptedAssociation, event.assoc).counted = True

    def _run(self, association: AcceptedAssociation, address: str) -> None:
        with self._lock:
            self._associations.add(association)
        try:
            association.run_reactor()
        finally:
            with self._lock:
                self._associations.discard(association)
            if not association.counted:
                self._no_longer_waiting(address)

    def _no_longer_waiting(self, address: str) -> None:
        with self._lock:
            self._waiting[address] -= 1
            if self._waiting[address] <= 0:
                del self._waiting[address]


def _bound_to(ae: LocalAE) -> str:
    """The address to listen on: every one of IPv4 and IPv6, unless the settings name one."""
    return ae.address or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")


def supported_contexts(ae: LocalAE, proven: Sequence[str]) -> tuple[PresentationContext, ...]:
    """Return the presentation contexts that are accepted (PS3.8 Section 9.3.2.2).

    `proven` are the transfer syntaxes that a decoder of this machine decodes.
    """
    syntaxes = list(transfer_syntaxes(ae.profile, proven))
    storage = [build_context(row.uid, syntaxes) for row in storage_classes(ae.profile)]
    verification = build_context(VERIFICATION, list(verification_syntaxes(ae.profile)))
    return (verification, *storage)
