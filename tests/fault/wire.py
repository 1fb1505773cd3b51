"""A Storage SCU that is written byte by byte, so that it can stop anywhere, and is fast.

PS3.8 Section 9.3 for the PDUs, PS3.7 Section 9.3.1 for the C-STORE. Implicit VR Little Endian only.
"""

import socket
import ssl
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

IMPLICIT = "1.2.840.10008.1.2"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
CLASSES = (CT, PRESENTATION_STATE)

A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA_TF, A_RELEASE_RQ = 1, 2, 3, 4, 5
_LARGEST_PDV = 16_000


class Refused(Exception):
    """The association was rejected; result, source and reason."""


class Sender:
    """An association on which instances are stored one after the other."""

    def __init__(
        self,
        port: int,
        calling: str = "PACS",
        called: str = "HAPPY_netty",
        classes: Sequence[str] = CLASSES,
        tls: ssl.SSLContext | None = None,
        timeout: float = 20.0,
    ) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(connection) if tls else connection
        self._classes = classes
        self._number = 0
        self.socket.sendall(associate(calling, called, classes))
        kind, body = self.receive()
        if kind == A_ASSOCIATE_RJ:
            self.socket.close()
            raise Refused(tuple(body[1:4]))
        if kind != A_ASSOCIATE_AC:
            raise ConnectionError(f"PDU type {kind} answers an A-ASSOCIATE-RQ")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def store(self, instance: Dataset) -> int:
        """Store an instance; the status of the C-STORE-RSP."""
        return self.store_bytes(
            instance.SOPClassUID, instance.SOPInstanceUID, encode(instance, True, True) or b""
        )

    def store_bytes(self, sop_class: str, instance: str, dataset: bytes) -> int:
        """Store an instance of which only the bytes are known."""
        self.socket.sendall(self.message(sop_class, instance, dataset))
        return self.status()

    def message(self, sop_class: str, instance: str, dataset: bytes) -> bytes:
        """The PDUs of a C-STORE-RQ."""
        self._number = self._number % 65_535 + 1
        context = 2 * self._classes.index(sop_class) + 1
        command = store_request(self._number, sop_class, instance)
        pdus = [data_pdu(context, 0x03, command)]
        for start in range(0, max(1, len(dataset)), _LARGEST_PDV):
            last = 0x02 if start + _LARGEST_PDV >= len(dataset) else 0x00
            pdus.append(data_pdu(context, last, dataset[start : start + _LARGEST_PDV]))
        return b"".join(pdus)

    def status(self) -> int:
        """The status of the response that comes next. Raises ConnectionError when none does."""
        kind, body = self.receive()
        if kind != P_DATA_TF:
            raise ConnectionError(f"PDU type {kind} answers a C-STORE-RQ")
        elements = command_elements(body[6:])
        return int.from_bytes(elements[0x0900], "little")

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: its type and its body."""
        kind, _, length = struct.unpack(">BBI", self._exactly(6))
        return kind, self._exactly(length)

    def release(self) -> None:
        """Release the association and close the connection."""
        self.socket.sendall(struct.pack(">BBIxxxx", A_RELEASE_RQ, 0, 4))
        self.receive()
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            part = self.socket.recv(count - len(received))
            if not part:
                raise ConnectionError("the box closed the connection")
            received += part
        return bytes(received)


def associate(calling: str, called: str, classes: Sequence[str]) -> bytes:
    """An A-ASSOCIATE-RQ that proposes `classes` (PS3.8 Table 9-11)."""
    contexts = b"".join(
        _item(
            0x20,
            struct.pack(">Bxxx", 2 * place + 1)
            + _item(0x30, sop_class.encode())
            + _item(0x40, IMPLICIT.encode()),
        )
        for place, sop_class in enumerate(classes)
    )
    user = _item(0x51, struct.pack(">I", 16_384)) + _item(0x52, b"2.25.1")
    body = (
        struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
        + _item(0x10, APPLICATION_CONTEXT.encode())
        + contexts
        + _item(0x50, user)
    )
    return struct.pack(">BBI", A_ASSOCIATE_RQ, 0, len(body)) + body


def data_pdu(context: int, control: int, data: bytes) -> bytes:
    """A P-DATA-TF with one presentation data value (PS3.8 Table 9-22)."""
    value = struct.pack(">IBB", len(data) + 2, context, control) + data
    return struct.pack(">BBI", P_DATA_TF, 0, len(value)) + value


def store_request(number: int, sop_class: str, instance: str) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 Table 9.3-1)."""
    elements = b"".join(
        (
            _element(0x0002, sop_class.encode()),
            _element(0x0100, struct.pack("<H", 0x0001)),
            _element(0x0110, struct.pack("<H", number)),
            _element(0x0700, struct.pack("<H", 0)),
            _element(0x0800, struct.pack("<H", 0x0001)),
            _element(0x1000, instance.encode()),
        )
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def command_elements(data: bytes) -> dict[int, bytes]:
    """The values of a command set, by element number."""
    elements: dict[int, bytes] = {}
    while data:
        _, element, length = struct.unpack_from("<HHI", data)
        elements[element], data = data[8 : 8 + length], data[8 + length :]
    return elements


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value
