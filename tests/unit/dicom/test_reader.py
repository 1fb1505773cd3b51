"""The store reader by itself: wherever reads, PDUs and fragments end, one dataset comes out."""

import queue
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.presentation import build_context

from appliance.dicom.associations import READ_AHEAD, ReadAheadSocket, UpperLayer
from appliance.dicom.inline import StoreReader
from tests.unit.dicom.listening import Memory
from tests.unit.dicom.wire import (
    COMMAND,
    CT,
    IMPLICIT,
    LAST,
    Answer,
    pdata,
    store_command,
    value,
)

REQUEST = store_command("1.2.3")
DATA = bytes(range(256)) * 3


@dataclass(slots=True)
class Scripted:
    """A connected socket whose reads end where the script says."""

    pieces: Iterator[bytes]
    sent: bytearray = field(default_factory=bytearray)
    left: bytes = b""

    def recv_into(self, view: memoryview) -> int:
        assert len(view), "a read without room would look like the end of the connection"
        piece = self.left or next(self.pieces, b"")
        count = min(len(piece), len(view))
        view[:count] = piece[:count]
        self.left = piece[count:]
        return count

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def setsockopt(self, *_: object) -> None: ...
    def settimeout(self, seconds: float | None) -> None: ...


class Timer:
    def restart(self) -> None: ...


class Association:
    """As much of an association and its upper layer as the reader and the socket look at."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.dul = self
        self.event_queue: queue.Queue[str] = queue.Queue()
        self._idle_timer = Timer()
        context = build_context(CT, IMPLICIT)
        self._accepted_cx = {3: context}
        self.assoc = self
        self.dimse = self
        self.handed_over: list[Any] = []
        self.connected = Scripted(pieces)
        self._connection = ReadAheadSocket(
            cast(Any, self), cast(socket.socket, self.connected), stall=1.0
        )

    def receive_primitive(self, primitive: Any) -> None:
        self.handed_over.append(primitive.presentation_data_value_list)


def read(pieces: Iterator[bytes]) -> tuple[Memory, bytes, Association]:
    """Read until the script ends; the receptions, what was answered, and the association."""
    memory, association = Memory(), Association(pieces)
    reader = StoreReader(cast(UpperLayer, association), memory)
    with pytest.raises(ConnectionError):
        while True:
            assert reader.read()
    return memory, bytes(association.connected.sent), association


def statuses(sent: bytes) -> list[int]:
    found = []
    while sent:
        length = int.from_bytes(sent[2:6], "big")
        found.append(Answer(sent[0], sent[6 : 6 + length]).status)
        sent = sent[6 + length :]
    return found


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def values(control: int, parts: Sequence[bytes]) -> list[bytes]:
    """Presentation data values of one command or dataset, the last one marked as the last."""
    return [*(value(3, control, part) for part in parts[:-1]), value(3, control | LAST, parts[-1])]


def each(*parts: bytes) -> bytes:
    """A PDU for every presentation data value."""
    return b"".join(map(pdata, parts))


EVERY = range(1, 10_000)

WAYS = {
    "a PDU for the command and one for the dataset": each(
        *values(COMMAND, [REQUEST]), *values(0, [DATA])
    ),
    "all in one PDU": pdata(*values(COMMAND, [REQUEST]), *values(0, [DATA])),
    "fragments of one byte, a PDU each": each(
        *values(COMMAND, cut(REQUEST, EVERY[: len(REQUEST) - 1])),
        *values(0, cut(DATA, EVERY[: len(DATA) - 1])),
    ),
    "fragments of one byte, in one PDU": pdata(
        *values(COMMAND, cut(REQUEST, EVERY[: len(REQUEST) - 1])),
        *values(0, cut(DATA, EVERY[: len(DATA) - 1])),
    ),
    "end of the command and begin of the dataset in one PDU": pdata(value(3, COMMAND, REQUEST[:9]))
    + pdata(value(3, COMMAND | LAST, REQUEST[9:]), value(3, 0, DATA[:100]))
    + pdata(value(3, 0, DATA[100:101]), value(3, LAST, DATA[101:])),
    "empty fragments": each(
        value(3, COMMAND, b""),
        value(3, COMMAND, REQUEST),
        value(3, COMMAND | LAST, b""),
        value(3, 0, b""),
        value(3, 0, DATA),
        value(3, LAST, b""),
    ),
    "empty PDUs": pdata()
    + pdata(*values(COMMAND, [REQUEST]))
    + pdata()
    + pdata(value(3, 0, DATA[:7]))
    + pdata()
    + pdata(value(3, LAST, DATA[7:]))
    + pdata(),
}


@pytest.mark.parametrize("said", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 12, 13, 1 << 20])
def test_every_way_to_cut_it(said: bytes, size: int) -> None:
    memory, sent, _ = read(said[at : at + size] for at in range(0, len(said), size))
    assert memory.stored == {"1.2.3": DATA}
    assert statuses(sent) == [0]


def test_every_place_where_a_read_may_end() -> None:
    said = pdata(*values(COMMAND, cut(REQUEST, [30]))) + pdata(*values(0, cut(DATA[:40], [9])))
    for place in range(1, len(said)):
        memory, sent, _ = read(iter(cut(said, [place])))
        assert memory.stored == {"1.2.3": DATA[:40]}
        assert statuses(sent) == [0]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_fragments_in_any_pdus_in_any_reads(data: st.DataObject) -> None:
    places = st.lists(st.integers(0, 800), max_size=12)
    parts: list[bytes] = []
    wanted = {}
    for number in range(data.draw(st.integers(1, 4))):
        command, dataset = store_command(f"1.2.{number}"), DATA[: data.draw(st.integers(0, 768))]
        parts += values(COMMAND, cut(command, [p % len(command) for p in data.draw(places)]))
        parts += values(0, cut(dataset, [min(p, len(dataset)) for p in data.draw(places)]))
        wanted[f"1.2.{number}"] = dataset
    edges = [place % (len(parts) + 1) for place in data.draw(places)]
    said = b"".join(pdata(*parts[i:j]) for i, j in pairwise([0, *sorted(edges), len(parts)]))
    reads = [place * len(said) // 800 for place in data.draw(places)]
    memory, sent, _ = read(iter([piece for piece in cut(said, reads) if piece]))
    assert memory.stored == wanted
    assert statuses(sent) == [0] * len(wanted)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) - 1, 4096, 65_537])
@pytest.mark.parametrize("fragment", [16_378, 1 << 20, 3_000_000])
def test_a_dataset_larger_than_the_read_ahead_buffer(size: int, fragment: int) -> None:
    data = bytes(range(251)) * (3 * READ_AHEAD // 251)
    said = each(
        *values(COMMAND, [REQUEST]),
        *values(0, cut(data, range(fragment, len(data), fragment))),
    )
    said += said
    memory, sent, _ = read(said[at : at + size] for at in range(0, len(said), size))
    assert [bytes(one.data) == data for one in memory.receptions] == [True, True]
    assert statuses(sent) == [0, 0]


def test_the_views_are_used_before_they_are_overwritten() -> None:
    """A feed sees the bytes as they came, though the buffer is used again at once."""
    parts = [bytes([number % 256]) * 9_000 for number in range(400)]
    said = each(*values(COMMAND, [REQUEST]), *values(0, parts))
    memory, _, _ = read(said[at : at + 100_000] for at in range(0, len(said), 100_000))
    assert memory.stored["1.2.3"] == b"".join(parts)
