"""A peer that says every byte itself: PDUs as they are on the wire, and a socket to say them on.

Nothing in here comes from the package or from pynetdicom, so that both may be wrong (PS3.8 Section
9.3, PS3.7 Sections 6.3 and 9.3).
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ = 1, 2, 3
P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 4, 5, 6, 7

COMMAND, LAST = 1, 2

RELEASE = bytes.fromhex("05 00 00000004 00000000")
RELEASED = bytes.fromhex("06 00 00000004 00000000")
ABORTED = bytes.fromhex("07 00 00000004 00 00 00 00")

PATIENCE = 30.0
"""Seconds within which any answer must come."""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that is proposed."""

    number: int
    abstract: str
    transfer: Sequence[str] = (IMPLICIT,)


ECHO_CONTEXT = Context(1, VERIFICATION)
CT_CONTEXT = Context(3, CT)
CONTEXTS = (ECHO_CONTEXT, CT_CONTEXT)


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _context(proposed: Context) -> bytes:
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in proposed.transfer)
    head = bytes((proposed.number, 0, 0, 0))
    return item(0x20, head + item(0x30, proposed.abstract.encode()) + syntaxes)


def associate(
    contexts: Iterable[Context] = CONTEXTS,
    *,
    calling: str = "SENDER",
    called: str = "HAPPY_netty",
    application: str = "1.2.840.10008.3.1.1.1",
    version: int = 1,
    extra: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 Table 9-11)."""
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4") + extra
    body = struct.pack(">HH16s16s32x", version, 0, _title(called), _title(calling))
    body += item(0x10, application.encode())
    body += b"".join(map(_context, contexts)) + item(0x50, user)
    return pdu(ASSOCIATE_RQ, body)


def _title(text: str) -> bytes:
    return text.encode("latin-1").ljust(16)


def element(tag: int, value: bytes) -> bytes:
    """A data element in Implicit VR Little Endian, its value padded with NUL."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def short(tag: int, number: int) -> bytes:
    return element(tag, struct.pack("<H", number))


def command(*elements: bytes) -> bytes:
    """A command set: Command Group Length, then `elements`."""
    body = b"".join(elements)
    return element(0x0000_0000, struct.pack("<I", len(body))) + body


def store_command(instance: str, sop_class: str = CT, message: int = 1) -> bytes:
    """A C-STORE-RQ with a dataset to follow (PS3.7 Table 9.3-1)."""
    return command(
        element(0x0000_0002, sop_class.encode()),
        short(0x0000_0100, 0x0001),
        short(0x0000_0110, message),
        short(0x0000_0700, 0),
        short(0x0000_0800, 0x0001),
        element(0x0000_1000, instance.encode()),
    )


def echo_command(message: int = 1) -> bytes:
    """A C-ECHO-RQ (PS3.7 Table 9.3-12)."""
    return command(
        element(0x0000_0002, VERIFICATION.encode()),
        short(0x0000_0100, 0x0030),
        short(0x0000_0110, message),
        short(0x0000_0800, 0x0101),
    )


def value(context: int, control: int, data: bytes) -> bytes:
    """A presentation data value (PS3.8 Table 9-23)."""
    return struct.pack(">IBB", len(data) + 2, context, control) + data


def pdata(*values: bytes) -> bytes:
    return pdu(P_DATA, b"".join(values))


def store(
    instance: str,
    data: bytes,
    *,
    context: int = CT_CONTEXT.number,
    sop_class: str = CT,
    message: int = 1,
    fragment: int = 16378,
) -> bytes:
    """A whole C-STORE: its command in a PDU, its dataset in fragments of a PDU each."""
    request = store_command(instance, sop_class, message)
    pieces = [data[at : at + fragment] for at in range(0, len(data), fragment)] or [b""]
    parts = [pdata(value(context, COMMAND | LAST, request))]
    parts += [pdata(value(context, 0, piece)) for piece in pieces[:-1]]
    return b"".join(parts) + pdata(value(context, LAST, pieces[-1]))


def echo(message: int = 1, context: int = ECHO_CONTEXT.number) -> bytes:
    return pdata(value(context, COMMAND | LAST, echo_command(message)))


@dataclass(frozen=True, slots=True)
class Answer:
    """One PDU that came back."""

    kind: int
    body: bytes

    @property
    def response(self) -> dict[int, bytes]:
        """The elements of the command set, if it is a response without a dataset."""
        assert self.kind == P_DATA, f"a PDU of type {self.kind}: {self.body.hex()}"
        (length, _context, control) = struct.unpack_from(">IBB", self.body)
        assert control == COMMAND | LAST
        assert length == len(self.body) - 4
        return dict(_elements(self.body[6:]))

    @property
    def context(self) -> int:
        return self.body[4]

    @property
    def status(self) -> int:
        return number(self.response[0x0000_0900])

    @property
    def comment(self) -> str:
        return self.response.get(0x0000_0902, b"").decode().rstrip()

    @property
    def rejection(self) -> tuple[int, int, int]:
        """Result, source and reason of an A-ASSOCIATE-RJ."""
        assert self.kind == ASSOCIATE_RJ, f"a PDU of type {self.kind}: {self.body.hex()}"
        return self.body[1], self.body[2], self.body[3]

    @property
    def results(self) -> dict[int, tuple[int, str]]:
        """Of an A-ASSOCIATE-AC: by context, the result and the transfer syntax."""
        assert self.kind == ASSOCIATE_AC, f"a PDU of type {self.kind}: {self.body.hex()}"
        return {
            body[0]: (body[2], body[8 : 8 + int.from_bytes(body[6:8], "big")].decode())
            for kind, body in _items(self.body[68:])
            if kind == 0x21
        }


def number(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        group, tag, length = struct.unpack_from("<HHI", data)
        yield group << 16 | tag, data[8 : 8 + length]
        data = data[8 + length :]


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, _, length = struct.unpack_from(">BBH", data)
        yield kind, data[4 : 4 + length]
        data = data[4 + length :]


class Line:
    """A connection to the box."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> Answer | None:
        """The next PDU; None when the box has closed the connection."""
        head = self._read(6)
        if not head:
            return None
        kind, _, length = struct.unpack(">BBI", head)
        return Answer(kind, self._read(length))

    def ask(self, data: bytes) -> Answer:
        """Say `data` and return the PDU that comes for it."""
        self.say(data)
        answer = self.hear()
        assert answer is not None, "the connection was closed"
        return answer

    def rest(self) -> list[int]:
        """The types of the PDUs that still come until the box closes the connection."""
        kinds = []
        try:
            while answer := self.hear():
                kinds.append(answer.kind)
        except ConnectionResetError:
            pass
        return kinds

    def reset(self) -> None:
        """Break the connection off as a machine does that was switched off and on (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size and (more := self.socket.recv(size - len(received))):
            received += more
        return received


@contextmanager
def line(port: int, host: str = "127.0.0.1") -> Iterator[Line]:
    with socket.create_connection((host, port), timeout=PATIENCE) as connected:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Line(connected)


@contextmanager
def association(port: int, request: bytes | None = None) -> Iterator[Line]:
    """A connection on which an association is established."""
    with line(port) as connected:
        answer = connected.ask(associate() if request is None else request)
        assert answer.kind == ASSOCIATE_AC, f"a PDU of type {answer.kind}: {answer.body.hex()}"
        yield connected
