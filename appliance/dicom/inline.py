"""The inline receive path: a whole C-STORE in the thread that reads the socket.

pynetdicom turns each PDU into objects, queues them to another thread and copies the dataset
several times. Here the P-DATA-TF PDUs of a C-STORE-RQ are taken apart in the read-ahead buffer, the
fragments of the dataset go to a `Reception` as views of that buffer, and the response is written
straight to the socket. C-FIND responses, which come in hundreds, are read here as well. Every other
message is handed to pynetdicom unchanged (PS3.8 Section 9.3.5 and Annex E, PS3.7 Section 9.3.1).
"""

import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.pdu_primitives import P_DATA

from appliance.dicom.associations import ReadAheadSocket, UpperLayer
from appliance.dicom.statuses import StoreStatus

LOGGER = logging.getLogger(__name__)

P_DATA_TF = 0x04
C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_FIND_RQ = 0x0020
C_FIND_RSP = 0x8020
NO_DATA_SET = 0x0101
DATA_SET_PRESENT = 0x0001
LOW_PRIORITY = 0x0002

LARGEST_COMMAND = 64 << 10
LARGEST_OTHER_MESSAGE = 16 << 20
_COMMAND = 0x01
_LAST = 0x02


class InvalidPDU(ValueError):
    """The peer sent something that PS3.8 does not allow here."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ command set (PS3.7 Table 9.3-1) and the context it came on."""

    context_id: int
    message_id: int
    sop_class: str
    sop_instance: str
    abstract_syntax: str
    transfer_syntax: str


class Reception(Protocol):
    """One C-STORE while its dataset arrives."""

    def feed(self, views: Sequence[memoryview]) -> None:
        """Take the next bytes of the dataset; the views are valid only during the call."""

    def finish(self) -> StoreStatus:
        """Return the outcome once the dataset is complete; success means that it is durable."""

    def abandon(self) -> None:
        """Forget the instance: the association ended before its dataset did."""


class StoreService(Protocol):
    """What receives the C-STOREs of one association."""

    def begin(self, request: StoreRequest) -> Reception:
        """Start receiving one instance."""


@dataclass(frozen=True, slots=True)
class Refusing:
    """Lets every dataset pass and answers `status`. Implements `StoreService` and `Reception`."""

    status: StoreStatus

    def begin(self, request: StoreRequest) -> Reception:
        """Receive nothing of the instance."""
        return self

    def feed(self, views: Sequence[memoryview]) -> None:
        """Forget the bytes."""

    def finish(self) -> StoreStatus:
        """Return the status that every instance gets."""
        return self.status

    def abandon(self) -> None:
        """There is nothing to forget."""


class StoreReader:
    """Reads the P-DATA-TF PDUs of one association, C-STORE by C-STORE."""

    def __init__(self, upper_layer: UpperLayer, service: StoreService) -> None:
        self._upper_layer = upper_layer
        self._service = service
        self._command = bytearray()
        self._request: StoreRequest | None = None
        self._reception: Reception | None = None
        self._pending: list[memoryview] = []
        self._other: list[tuple[int, bytes]] = []
        self._other_size = 0

    @property
    def _socket(self) -> ReadAheadSocket:
        return self._upper_layer._connection

    def read(self) -> bool:
        """Consume P-DATA-TF PDUs until a message ends and nothing more was read ahead.

        False when the next PDU is of another type: it is left unread for pynetdicom. Raises OSError
        when the peer stalls or the connection breaks within a message.
        """
        try:
            return self._read_messages()
        except InvalidPDU as error:
            LOGGER.info("an invalid PDU was received: %s", error)
            self._abandon()
            self._socket.start = self._socket.end
            self._upper_layer.event_queue.put("Evt19")
            return True
        except Exception:
            self._abandon()
            raise

    def _read_messages(self) -> bool:
        connection = self._socket
        if not connection.unread and not connection.fill():
            raise ConnectionError("the peer closed the connection")
        while self._in_message or connection.unread:
            if self._request is not None and self._take_fragments(self._request.context_id):
                continue
            self._need(1)
            if connection.buffer[connection.start] != P_DATA_TF:
                self._abandon()
                return False
            self._need(6)
            start = connection.start
            length = int.from_bytes(connection.buffer[start + 2 : start + 6], "big")
            connection.start = start + 6
            self._read_values(length)
        return True

    @property
    def _in_message(self) -> bool:
        return bool(self._command or self._request or self._other)

    def _read_values(self, length: int) -> None:
        """Take apart the presentation data values of one PDU of `length` bytes."""
        connection = self._socket
        while length:
            self._need(6)
            start = connection.start
            item, context_id, control = _VALUE_HEAD.unpack_from(connection.buffer, start)
            connection.start = start + 6
            length -= item + 4
            if length < 0 or item < 2:
                raise InvalidPDU("a presentation data value does not fit into its PDU")
            if control & _COMMAND:
                self._take_command(context_id, control, item - 2)
            else:
                self._take_data(context_id, control, item - 2)

    def _take_fragments(self, expected: int) -> bool:
        """Take the PDUs that were read ahead whole and hold one fragment of the dataset each.

        Nearly all PDUs are such; False if the next one is not.
        """
        connection, pending = self._socket, self._pending
        buffer, view, end = connection.buffer, connection.view, connection.end
        start = first = connection.start
        while end - start >= 12:
            kind, length, item, context_id, control = _FRAGMENT_HEAD.unpack_from(buffer, start)
            stop = start + 6 + length
            plain = kind == P_DATA_TF and item == length - 4 >= 2 and context_id == expected
            if not plain or stop > end or control not in (0, _LAST):
                break
            pending.append(view[start + 12 : stop])
            connection.start = start = stop
            if control:
                self._finish()
                return True
        return start > first

    def _need(self, count: int) -> None:
        connection = self._socket
        while connection.unread < count:
            self._more()

    def _more(self) -> None:
        self._flush()
        if not self._socket.fill():
            raise ConnectionError("the peer closed the connection within a message")
        self._upper_layer._idle_timer.restart()

    def _flush(self) -> None:
        if self._pending and self._reception is not None:
            self._reception.feed(self._pending)
        self._pending = []

    def _take(self, size: int) -> bytes:
        taken = bytearray()
        connection = self._socket
        while len(taken) < size:
            if not connection.unread:
                self._more()
            stop = min(connection.end, connection.start + size - len(taken))
            taken += connection.view[connection.start : stop]
            connection.start = stop
        return bytes(taken)

    def _take_command(self, context_id: int, control: int, size: int) -> None:
        if self._request is not None:
            raise InvalidPDU("a command came within a dataset")
        if self._other:
            self._take_more(context_id, control, size)
            return
        if len(self._command) + size > LARGEST_COMMAND:
            raise InvalidPDU("a command set is larger than 64 KiB")
        self._command += self._take(size)
        if control & _LAST:
            self._command_complete(context_id)

    def _command_complete(self, context_id: int) -> None:
        command = bytes(self._command)
        self._command.clear()
        elements = parse_command(command)
        if _number(elements, 0x0100) != C_STORE_RQ:
            self._take_other(context_id, _COMMAND | _LAST, command)
            return
        context = self._upper_layer.assoc._accepted_cx.get(context_id)
        if context is None:
            raise InvalidPDU("a C-STORE-RQ came on a presentation context that was not accepted")
        self._request = StoreRequest(
            context_id=context_id,
            message_id=_number(elements, 0x0110) or 0,
            sop_class=_uid(elements, 0x0002),
            sop_instance=_uid(elements, 0x1000),
            abstract_syntax=str(context.abstract_syntax),
            transfer_syntax=str(context.transfer_syntax[0]),
        )
        self._reception = self._service.begin(self._request)
        if _number(elements, 0x0800) == NO_DATA_SET:
            self._finish()

    def _take_data(self, context_id: int, control: int, size: int) -> None:
        if self._other:
            self._take_more(context_id, control, size)
            return
        if self._request is None or context_id != self._request.context_id:
            raise InvalidPDU("a dataset fragment came without its command")
        connection = self._socket
        while size:
            if not connection.unread:
                self._more()
            stop = min(connection.end, connection.start + size)
            self._pending.append(connection.view[connection.start : stop])
            size -= stop - connection.start
            connection.start = stop
        if control & _LAST:
            self._finish()

    def _finish(self) -> None:
        self._flush()
        request, reception = self._request, self._reception
        assert request is not None
        assert reception is not None
        status = reception.finish()
        self._request = self._reception = None
        connected = self._socket.socket
        if connected is None:
            raise ConnectionError("the connection was closed before the response")
        connected.sendall(store_response(request, status))
        self._upper_layer._idle_timer.restart()

    def _take_more(self, context_id: int, control: int, size: int) -> None:
        """Take a value of a message other than C-STORE; of one that is too large, no byte."""
        if self._other_size + size > LARGEST_OTHER_MESSAGE:
            raise InvalidPDU("a message other than C-STORE is larger than 16 MiB")
        self._take_other(context_id, control, self._take(size))

    def _take_other(self, context_id: int, control: int, data: bytes) -> None:
        self._other_size += len(data)
        self._other.append((context_id, bytes((control,)) + data))
        if self._other_complete():
            self._hand_over()

    def _hand_over(self) -> None:
        first, control = self._other[0][0], self._other[0][1][0]
        if control == _COMMAND | _LAST and (found := find_response(self._other)):
            self._other = []
            self._other_size = 0
            self._upper_layer.assoc.dimse.msg_queue.put((first, found))
            return
        primitive = P_DATA()
        primitive.presentation_data_value_list = [list(value) for value in self._other]  # type: ignore[misc]
        self._other = []
        self._other_size = 0
        try:
            self._upper_layer.assoc.dimse.receive_primitive(primitive)
        except Exception as error:
            # pynetdicom believes that every command set is one of those that it knows.
            raise InvalidPDU(f"a message cannot be understood: {error!r}") from error

    def _other_complete(self) -> bool:
        control = self._other[-1][1][0]
        if not control & _LAST:
            return False
        if not control & _COMMAND:
            return True
        command = b"".join(data[1:] for _, data in self._other if data[0] & _COMMAND)
        return _number(parse_command(command), 0x0800) in (NO_DATA_SET, None)

    def _abandon(self) -> None:
        if self._reception is not None:
            self._reception.abandon()
        self._command.clear()
        self._request = self._reception = None
        self._pending = []
        self._other = []
        self._other_size = 0


_VALUE_HEAD = struct.Struct(">IBB")
_FRAGMENT_HEAD = struct.Struct(">BxIIBB")
"""Of a P-DATA-TF PDU with one presentation data value (PS3.8 Tables 9-22 and 9-23)."""


def parse_command(data: bytes) -> dict[int, bytes]:
    """Return the elements of a command set by element number (PS3.7 Section 6.3.1).

    Command sets are Implicit VR Little Endian, group 0000. What else is in one is passed over: some
    put the Failed SOP Instance UID List there. Raises InvalidPDU when `data` is none.
    """
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if len(data) - position < 8:
            raise InvalidPDU("a command set ends within an element")
        group, element, length = struct.unpack_from("<HHI", data, position)
        position += 8
        if length > len(data) - position:
            raise InvalidPDU(f"element ({group:04X},{element:04X}) does not fit a command set")
        if group == 0:
            elements[element] = data[position : position + length]
        position += length
    return elements


def store_response(request: StoreRequest, status: StoreStatus) -> bytes:
    """Return the P-DATA-TF PDU of a C-STORE-RSP (PS3.7 Table 9.3-2, PS3.8 Table 9-22)."""
    elements = [
        _element(0x0002, request.sop_class.encode("ascii", "replace")),
        _element(0x0100, C_STORE_RSP.to_bytes(2, "little")),
        _element(0x0120, request.message_id.to_bytes(2, "little")),
        _element(0x0800, NO_DATA_SET.to_bytes(2, "little")),
        _element(0x0900, status.code.to_bytes(2, "little")),
    ]
    if status.comment:
        elements.append(_element(0x0902, status.comment[:64].encode("ascii", "replace"), b" "))
    elements.append(_element(0x1000, request.sop_instance.encode("ascii", "replace")))
    body = _command_set(elements)
    value = struct.pack(">IBB", len(body) + 2, request.context_id, _COMMAND | _LAST) + body
    return struct.pack(">BBI", P_DATA_TF, 0, len(value)) + value


def find_response(values: Sequence[tuple[int, bytes]]) -> C_FIND | None:
    """Return the C-FIND-RSP (PS3.7 Table 9.1-2) of these presentation data values, or None.

    Of the command set, which must be the first value, only what tells the outcome is read.
    """
    elements = parse_command(values[0][1][1:])
    if _number(elements, 0x0100) != C_FIND_RSP:
        return None
    response = C_FIND()
    response.MessageIDBeingRespondedTo = _number(elements, 0x0120)
    response.Status = _number(elements, 0x0900)
    if comment := elements.get(0x0902):
        text = comment.decode("ascii", "replace").rstrip(" \0")
        response.ErrorComment = text  # type: ignore[assignment]
    if len(values) > 1:
        response.Identifier = BytesIO(b"".join(data[1:] for _, data in values[1:]))
    return response


def find_request(context_id: int, sop_class: str, identifier: bytes) -> tuple[P_DATA, P_DATA]:
    """Return command and identifier of a C-FIND-RQ with message ID 1 (PS3.7 Table 9.1-2).

    Each has a PDU of its own: not every PACS expects both in one.
    """
    command = _command_set(
        [
            _element(0x0002, sop_class.encode()),
            _element(0x0100, C_FIND_RQ.to_bytes(2, "little")),
            _element(0x0110, (1).to_bytes(2, "little")),
            _element(0x0700, LOW_PRIORITY.to_bytes(2, "little")),
            _element(0x0800, DATA_SET_PRESENT.to_bytes(2, "little")),
        ]
    )
    return (
        _value(context_id, _COMMAND | _LAST, command),
        _value(context_id, _LAST, identifier),
    )


def _value(context_id: int, control: int, data: bytes) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[context_id, bytes((control,)) + data]]  # type: ignore[list-item]
    return primitive


def _command_set(elements: Sequence[bytes]) -> bytes:
    """Return a command set: `elements` behind their group length (PS3.7 Section 6.3.1)."""
    body = b"".join(elements)
    return _element(0x0000, len(body).to_bytes(4, "little")) + body


def _element(number: int, value: bytes, padding: bytes = b"\0") -> bytes:
    if len(value) % 2:
        value += padding
    return struct.pack("<HHI", 0, number, len(value)) + value


def _number(elements: dict[int, bytes], element: int) -> int | None:
    value = elements.get(element)
    if not value:
        return None
    if len(value) != 2:
        raise InvalidPDU(f"element (0000,{element:04X}) of a command set is not a US")
    return int.from_bytes(value, "little")


def _uid(elements: dict[int, bytes], element: int) -> str:
    return elements.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")
