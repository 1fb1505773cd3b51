"""A PACS that says what a test has written for it, byte by byte."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from appliance.settings.model import RemoteAE
from tests.unit.dicom.wire import (
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    COMMAND,
    LAST,
    P_DATA,
    PATIENCE,
    RELEASE_RQ,
    RELEASED,
    Answer,
    Line,
    command,
    element,
    item,
    pdata,
    pdu,
    short,
    value,
)

TITLE = "SCRIPTED"
ECHO, FIND, MOVE, GET = 0x0030, 0x0020, 0x0021, 0x0010
PENDING = 0xFF00


def accepted(request: bytes, results: dict[int, int] | None = None) -> bytes:
    """An A-ASSOCIATE-AC for the body of a request: all contexts, or with these results."""
    contexts = b""
    for number, syntaxes in proposed(request).items():
        result = (results or {}).get(number, 0)
        syntax = item(0x40, syntaxes[1].encode())
        contexts += item(0x21, bytes((number, 0, result, 0)) + syntax)
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4") + roles(request)
    body = request[:68] + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + item(0x50, user)
    return pdu(ASSOCIATE_AC, body)


def proposed(request: bytes) -> dict[int, list[str]]:
    """By presentation context: the abstract syntax, then the transfer syntaxes."""
    found = {}
    for kind, body in items(request[68:]):
        if kind == 0x20:
            found[body[0]] = [uid.decode() for _, uid in items(body[4:])]
    return found


def roles(request: bytes) -> bytes:
    """The SCP/SCU role selection sub-items of a request, all as they were asked for."""
    (user,) = [body for kind, body in items(request[68:]) if kind == 0x50]
    return b"".join(item(kind, body) for kind, body in items(user) if kind == 0x54)


def items(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, _, length = struct.unpack_from(">BBH", data)
        yield kind, data[4 : 4 + length]
        data = data[4 + length :]


def response(field: int, status: int | None, *elements: bytes, data: bytes | None = None) -> bytes:
    """A response to message 1 on context 1, with an identifier or without."""
    said = [
        short(0x0000_0100, field | 0x8000),
        short(0x0000_0120, 1),
        short(0x0000_0800, 0x0101 if data is None else 0x0001),
        *([] if status is None else [short(0x0000_0900, status)]),
        *elements,
    ]
    message = pdata(value(1, COMMAND | LAST, command(*said)))
    return message if data is None else message + pdata(value(1, LAST, data))


def counters(remaining: int, completed: int, failed: int, warning: int) -> tuple[bytes, ...]:
    return (
        short(0x0000_1020, remaining),
        short(0x0000_1021, completed),
        short(0x0000_1022, failed),
        short(0x0000_1023, warning),
    )


@dataclass
class Heard:
    """What the PACS was told: association requests, and messages as (command, identifier)."""

    requests: list[bytes] = field(default_factory=list)
    messages: list[tuple[dict[int, bytes], bytes]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)


Script = Callable[["Counterpart"], None]


@dataclass
class Counterpart:
    """The PACS' side of one connection."""

    line: Line
    heard: Heard

    def say(self, data: bytes) -> None:
        self.line.say(data)

    def accept(self, results: dict[int, int] | None = None) -> None:
        """Hear the association request and accept it."""
        request = self.line.hear()
        assert request is not None
        assert request.kind == ASSOCIATE_RQ
        self.heard.requests.append(request.body)
        self.say(accepted(request.body, results))

    def message(self) -> None:
        """Hear a whole message: a command, and a dataset where it announces one."""
        elements: dict[int, bytes] = {}
        data, complete = b"", False
        while not complete:
            answer = self.line.hear()
            assert answer is not None
            assert answer.kind == P_DATA
            if answer.body[5] & COMMAND:
                elements = answer.response
                complete = elements[0x0000_0800] == b"\x01\x01"
            else:
                data += answer.body[6:]
                complete = bool(answer.body[5] & LAST)
        self.heard.messages.append((elements, data))

    def release(self) -> None:
        """Hear the release request and answer it."""
        answer = self.line.hear()
        assert answer is not None
        assert answer.kind == RELEASE_RQ, f"a PDU of type {answer.kind}"
        self.say(RELEASED)
        assert self.line.hear() is None

    def serve(self, *responses: bytes) -> None:
        """A whole association: accept, one request, these responses, release."""
        self.accept()
        self.message()
        self.say(b"".join(responses))
        self.release()


@contextmanager
def pacs(*scripts: Script) -> Iterator[tuple[RemoteAE, Heard]]:
    """Follow one script for each connection; what goes wrong in them is raised at the end."""
    heard = Heard()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        thread = threading.Thread(target=_play, args=(server, scripts, heard))
        thread.start()
        try:
            yield RemoteAE("scripted", TITLE, "127.0.0.1", server.getsockname()[1]), heard
        finally:
            thread.join()
    if heard.failures:
        raise heard.failures[0]


def _play(server: socket.socket, scripts: Sequence[Script], heard: Heard) -> None:
    try:
        for script in scripts:
            connected, _ = server.accept()
            with connected:
                connected.settimeout(PATIENCE)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                script(Counterpart(Line(connected), heard))
    except BaseException as failure:
        heard.failures.append(failure)


def silent(counterpart: Counterpart) -> None:
    """Say nothing until the other side gives up."""
    while answer := counterpart.line.hear():
        assert isinstance(answer, Answer)


def match(**values: str) -> bytes:
    """A pending C-FIND-RSP; UIDs by short names."""
    tags = {"patient": 0x0010_0020, "study": 0x0020_000D, "series": 0x0020_000E}
    data = b"".join(element(tags[name], text.encode()) for name, text in values.items())
    return response(FIND, PENDING, data=data)
