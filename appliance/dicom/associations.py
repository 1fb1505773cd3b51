"""Associations that sleep until something happens, in both roles.

pynetdicom negotiates and keeps the state machine of PS3.8 Section 9.2; its two reactors poll
every millisecond and read 4 KiB at a time. The classes here replace the waiting and the reading:
the upper layer blocks in `poll` on its socket and on an event descriptor, the socket reads ahead,
and a C-STORE-RQ goes to `StoreReader` without passing through a queue.
"""

import logging
import os
import queue
import select
import socket
import ssl
import struct
import threading
import time
from typing import Any, Protocol, cast

from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_items import PDU_ITEM_TYPES
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from appliance import __version__

LOGGER = logging.getLogger(__name__)

IMPLEMENTATION_CLASS_UID = UID("2.25.143519117792553177008881191455428867709")
IMPLEMENTATION_VERSION_NAME = f"NETTY_{__version__}"

READ_AHEAD = 1 << 20
"""Bytes that a socket may read ahead; memory that is never touched costs nothing."""

LARGEST_CONTROL_PDU = 1 << 20
"""Bytes of the largest PDU that is read whole; only P-DATA-TF, which streams, may be longer."""

_POLL_AT_MOST = 5.0

_ASSOCIATE_PDUS = (0x01, 0x02)
_USER_INFORMATION = 0x50
_BEFORE_ITEMS = 74
"""Bytes of an A-ASSOCIATE-RQ or -AC before its variable items (PS3.8 Table 9-11)."""


class ApplicationContext(ApplicationEntity):
    """pynetdicom's AE with the box's own implementation identity (PS3.7 D.3.3.2)."""

    def __init__(self, title: str, max_pdu: int) -> None:
        super().__init__(ae_title=title)
        self.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.maximum_pdu_size = max_pdu


class MessageReader(Protocol):
    """Reads P-DATA-TF PDUs inline, in the thread of the upper layer."""

    def read(self) -> bool:
        """Consume what is in the socket; False leaves the next PDU to pynetdicom."""


class ReadAheadSocket(AssociationSocket):
    """A socket with one contiguous read-ahead buffer and TCP_NODELAY.

    `start` and `end` delimit the unread bytes in `buffer`; `stall` is how many seconds a peer may
    keep silent in the middle of something.
    """

    def __init__(
        self,
        assoc: Association,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
        stall: float | None = None,
    ) -> None:
        super().__init__(assoc, client_socket, address)
        self.stall = stall
        self.deadline: float | None = None
        self.buffer = bytearray(READ_AHEAD)
        self.view = memoryview(self.buffer)
        self.start = 0
        self.end = 0
        if client_socket is not None:
            self._prepare(client_socket)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect, then set the stall time that pynetdicom clears.

        What is left until `deadline` is how long the answer to the request may take.
        """
        super().connect(primitive)
        if self.socket is not None:
            self._prepare(self.socket)
        if self.deadline is not None:
            self.assoc.acse_timeout = max(0.1, self.deadline - time.monotonic())

    def _prepare(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _limit_waiting(connected, self.stall)

    @property
    def unread(self) -> int:
        """How many bytes were read ahead."""
        return self.end - self.start

    @property
    def read_already(self) -> bool:
        """Whether there is something to take of which a poll of the socket knows nothing."""
        if self.unread:
            return True
        connected = self.socket
        return isinstance(connected, ssl.SSLSocket) and connected.pending() > 0

    @property
    def ready(self) -> bool:
        """Whether a read would return at once; never blocks (PS3.8 Section 9.2)."""
        if self.read_already:
            return True
        connected = self.socket
        if connected is None or not self._is_connected:
            return False
        poller = select.poll()
        try:
            poller.register(connected, select.POLLIN)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        return bool(poller.poll(0))

    def fill(self) -> bool:
        """Read once, as much as there is room for; False when the peer has closed.

        Bytes before `start` may be overwritten. Raises TimeoutError when the peer stalls.
        """
        if self.start == self.end:
            self.start = self.end = 0
        elif len(self.buffer) - self.end < READ_AHEAD // 8:
            self.buffer[: self.unread] = self.buffer[self.start : self.end]
            self.start, self.end = 0, self.unread
        connected = self.socket
        if connected is None:
            return False
        if self.deadline is not None:
            _limit_waiting(connected, max(0.001, self.deadline - time.monotonic()))
        try:
            count = connected.recv_into(self.view[self.end :])
        except BlockingIOError:
            raise TimeoutError("nothing came in time") from None
        self.end += count
        return count > 0

    def ensure(self, count: int) -> bool:
        """Read until `count` bytes are unread; False when the peer closes before."""
        while self.unread < count:
            if not self.fill():
                return False
        return True

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes` bytes, fewer when the peer closes before."""
        received = bytearray()
        while len(received) < nr_bytes and (self.unread or self.fill()):
            stop = min(self.end, self.start + nr_bytes - len(received))
            received += self.view[self.start : stop]
            self.start = stop
        return received

    def drop(self) -> bool:
        """Forget what was read ahead, else what one more read gives; False when the peer closes."""
        there = bool(self.unread) or self.fill()
        self.start = self.end
        return there

    def stop_deadline(self) -> None:
        """End the deadline for the association request; from now on only stalls are timed."""
        if self.deadline is not None:
            self.deadline = None
            if self.socket is not None:
                _limit_waiting(self.socket, self.stall)

    def cut(self) -> None:
        """Shut the connection down from any thread; the upper layer sees it as closed.

        Below TLS: an `SSLSocket` that is shut down would hand what is encrypted to a reader.
        """
        connected = self.socket
        if connected is not None:
            try:
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
            except OSError as error:
                LOGGER.debug("the connection was closed already: %s", error)


class UpperLayer(DULServiceProvider):
    """pynetdicom's upper layer provider, blocking instead of polling."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.daemon = True
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bell_lock = threading.Lock()
        self._bell_open = True
        self.reader: MessageReader | None = None

    @property
    def _connection(self) -> ReadAheadSocket:
        return cast(ReadAheadSocket, self.socket)

    def send_pdu(self, primitive: Any) -> None:
        """Queue `primitive` for the peer and wake the upper layer."""
        super().send_pdu(primitive)
        self._ring()

    def kill_dul(self) -> None:
        """End the upper layer's thread."""
        super().kill_dul()
        self._ring()

    def stop_dul(self) -> bool:
        """End the thread if the state machine is idle (Sta1); True when it has ended."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        if threading.current_thread() is not self:
            self.join()
        return True

    def run_reactor(self) -> None:
        """Take one event at a time through the state machine until the association ends."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            while not self._kill_thread:
                self._turn()
        except Exception:
            LOGGER.exception("the upper layer failed; the association is aborted")
            self._abort_hard()
        finally:
            self._kill_thread = True
            self._close_bell()
            # Whoever waits for an answer of the peer must not wait for one that cannot come.
            self.to_user_queue.put(A_P_ABORT())
            self._tell_association()

    def _turn(self) -> None:
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        if not self._process_recv_primitive() and self._is_transport_event():
            self._idle_timer.restart()
        try:
            event = self.event_queue.get_nowait()
        except queue.Empty:
            self._tell_association()
            self._wait()
            return
        self.state_machine.do_action(event)
        self._tell_association()

    def _wait(self) -> None:
        connection = cast("ReadAheadSocket | None", self.socket)
        if self.state_machine.current_state == "Sta13":
            return
        if connection is not None and connection.read_already:
            return
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        if connection is not None and connection.socket is not None:
            poller.register(connection.socket, select.POLLIN)
        wait = min(_POLL_AT_MOST, max(0.0, self.artim_timer.remaining) + 0.01)
        if self.artim_timer._start_time is None or self.artim_timer._end_time is not None:
            wait = _POLL_AT_MOST
        if self._kill_thread or self.to_provider_queue.queue:
            return
        for descriptor, _ in poller.poll(wait * 1000):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)

    def _process_recv_primitive(self) -> bool:
        """Take what the association wants sent; nothing once the connection is to be closed."""
        if self.state_machine.current_state == "Sta13":
            with self.to_provider_queue.mutex:
                self.to_provider_queue.queue.clear()
        return super()._process_recv_primitive()

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        """Decode a PDU whole, so that what is wrong in it is known before the state machine acts.

        Of the protocol version only bit 0 counts (PS3.8 Table 9-11).
        """
        if bytestream[0] in _ASSOCIATE_PDUS:
            items = _known_items(memoryview(bytestream)[_BEFORE_ITEMS:])
            bytestream = bytestream[:_BEFORE_ITEMS] + items
        pdu, event = super()._decode_pdu(bytestream)
        if isinstance(pdu, A_ASSOCIATE_RQ):
            pdu.protocol_version &= 0x0001
        if not isinstance(pdu, P_DATA_TF):
            pdu.to_primitive()
        return pdu, event

    def _read_pdu_data(self) -> None:
        state = self.state_machine.current_state
        connection = self._connection
        try:
            if state == "Sta13":
                if not connection.drop():
                    self._closed()
                return
            if state == "Sta6":
                connection.stop_deadline()
                if self.reader and self.assoc.dimse.message is None and self.reader.read():
                    return
            if not connection.ensure(6):
                self._closed()
                return
            if self._too_long(connection):
                LOGGER.info("a PDU longer than this box reads was announced")
                connection.start = connection.end
                self.event_queue.put("Evt19")
                return
        except OSError as error:
            LOGGER.info("the peer stalled or the connection broke: %s", error)
            self._closed()
            return
        super()._read_pdu_data()

    @staticmethod
    def _too_long(connection: ReadAheadSocket) -> bool:
        start = connection.start
        length = int.from_bytes(connection.buffer[start + 2 : start + 6], "big")
        return length > LARGEST_CONTROL_PDU

    def _closed(self) -> None:
        self.event_queue.put("Evt17")

    def _abort_hard(self) -> None:
        abort = A_ABORT_RQ()
        abort.source = 0x02
        abort.reason_diagnostic = 0x00
        if self.socket is not None and self.socket.socket is not None:
            self.socket.send(abort.encode())
            self.socket._shutdown_socket()
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        self.assoc._kill = True
        self.assoc.dimse.msg_queue.put((None, None))

    def _ring(self) -> None:
        with self._bell_lock:
            if self._bell_open:
                os.eventfd_write(self._bell, 1)

    def _close_bell(self) -> None:
        with self._bell_lock:
            self._bell_open = False
            os.close(self._bell)

    def _tell_association(self) -> None:
        """Wake the association's thread if something waits for it: C-STOREs are no matter of it."""
        if self.to_user_queue.queue or self.assoc.dimse.msg_queue.queue:
            cast(QuietAssociation, self.assoc).woken.set()


class QuietAssociation(Association):
    """pynetdicom's association, woken by its upper layer instead of polling."""

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        super().__init__(ae, mode)
        self.woken = threading.Event()
        self.dul: UpperLayer = UpperLayer(self)
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    @property
    def connection(self) -> ReadAheadSocket:
        """The association's socket."""
        return cast(ReadAheadSocket, self.dul.socket)

    def _run_reactor(self) -> None:
        """Serve DIMSE messages, release and abort as they come (PS3.8 Section 9.2)."""
        while not self._kill:
            self.woken.wait(1.0)
            self.woken.clear()
            self._serve_waiting()
            if self._ended():
                return

    def _serve_waiting(self) -> None:
        while not self._kill:
            context_id, message = self.dimse.get_msg(block=False)
            if message is None:
                return
            self._serve_request(message, cast(int, context_id))

    def _ended(self) -> bool:
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted = True
            self.is_established = False
        elif self.dul.is_alive() and not self.dul.idle_timer_expired():
            return False
        elif self.dul.is_alive():
            LOGGER.info("the peer was silent for too long; the association is aborted")
            self.abort()
        self.kill()
        return True


def _limit_waiting(connected: socket.socket, seconds: float | None) -> None:
    """Let a read or a write wait for the peer no longer than `seconds`; None: without end.

    By the kernel's own limits: with Python's, each read is two system calls, and the interpreter
    lock goes twice. TLS needs Python's, as one read of it may be several of the socket.
    """
    if isinstance(connected, ssl.SSLSocket):
        connected.settimeout(seconds)
        return
    connected.settimeout(None)
    limit = struct.pack("@ll", *divmod(round((seconds or 0) * 1_000_000), 1_000_000))
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _known_items(items: memoryview) -> bytes:
    """Return `items` without those of unknown types, which are to be ignored (PS3.8 9.3.1)."""
    known = bytearray()
    at = 0
    while at + 4 <= len(items):
        kind, end = items[at], at + 4 + int.from_bytes(items[at + 2 : at + 4], "big")
        item = bytes(items[at:end])
        if kind == _USER_INFORMATION:
            inner = _known_items(items[at + 4 : end])
            item = item[:2] + len(inner).to_bytes(2, "big") + inner
        if kind in PDU_ITEM_TYPES:
            known += item
        at = end
    return bytes(known + items[at:])
