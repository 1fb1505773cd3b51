"""Conversations changed at random: whatever comes, the box stays whole and serves the next peer."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.dicom.scp import Listener
from tests.unit.dicom.keeping import Keeping, encoded, image, keeping, storing
from tests.unit.dicom.listening import listening, until
from tests.unit.dicom.wire import (
    RELEASE,
    RELEASE_RP,
    Line,
    associate,
    association,
    echo,
    line,
    store,
)

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")

DATA = encoded(image(PixelData=bytes(2000)))
MESSAGES = (
    echo(),
    store("1.2.3", DATA, fragment=300),
    store("1.2.4", encoded(image("1.2.4")), message=2),
    echo(3),
)
CONVERSATION = b"".join(MESSAGES) + RELEASE

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Flip:
    """One byte becomes another. Positions are parts in a thousand of what is there."""

    at: int
    byte: int

    def __call__(self, said: bytes) -> bytes:
        place = self.at * len(said) // 1000
        return said[:place] + bytes((self.byte,)) + said[place + 1 :]


@dataclass(frozen=True)
class Replace:
    """A stretch is taken out, and something else put in its place."""

    at: int
    length: int
    by: bytes

    def __call__(self, said: bytes) -> bytes:
        place = self.at * len(said) // 1000
        return said[:place] + self.by + said[place + self.length :]


@dataclass(frozen=True)
class Repeat:
    """A stretch comes twice."""

    at: int
    length: int

    def __call__(self, said: bytes) -> bytes:
        place = self.at * len(said) // 1000
        return said[: place + self.length] + said[place:]


PLACE = st.integers(0, 999)
CHANGES = st.lists(
    st.one_of(
        st.builds(Flip, PLACE, st.sampled_from((0, 1, 2, 3, 4, 5, 6, 7, 0x7F, 0x80, 0xFF))),
        st.builds(Flip, PLACE, st.integers(0, 255)),
        st.builds(Replace, PLACE, st.integers(0, 300), st.binary(max_size=20)),
        st.builds(Repeat, PLACE, st.integers(1, 600)),
    ),
    min_size=1,
    max_size=5,
)


@dataclass(frozen=True)
class Box:
    kept: Keeping
    listener: Listener


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    ae = storing()
    with (
        keeping(tmp_path_factory.mktemp("box"), ae) as kept,
        listening(kept.storage, ae) as listener,
    ):
        yield Box(kept, listener)


def hang_up(peer: Line, said: bytes) -> list[int]:
    """Say it all, whatever is answered, and hang up; the types of the PDUs that came back."""
    with suppress(OSError):  # the box may have hung up already
        peer.say(said)
        peer.socket.shutdown(socket.SHUT_WR)
    return peer.rest()


def whole(box: Box) -> None:
    """What the box keeps is consistent, and it works."""
    until(lambda: box.kept.storage.intake._running == 0, "a store still counts as running")
    assert {path.suffix for path in box.kept.files} <= {".dcm"}, "a half file was left behind"
    assert len(box.kept.files) == box.kept.held
    with association(box.listener.port) as peer:
        assert peer.ask(store("1.2.3", DATA)).status == 0
        assert peer.ask(echo(2)).status == 0
        assert peer.ask(RELEASE).kind == RELEASE_RP


def test_the_conversation_itself(box: Box) -> None:
    with association(box.listener.port) as peer:
        assert [peer.ask(message).status for message in MESSAGES] == [0] * 4
        assert peer.ask(RELEASE).kind == RELEASE_RP
    whole(box)


@settings(max_examples=100, deadline=None)
@given(changes=CHANGES)
def test_a_conversation_changed_at_random(box: Box, changes: list[Change]) -> None:
    said = CONVERSATION
    for change in changes:
        said = change(said)
    with association(box.listener.port) as peer:
        hang_up(peer, said)
    whole(box)


@settings(max_examples=100, deadline=None)
@given(changes=CHANGES)
def test_an_association_request_changed_at_random(box: Box, changes: list[Change]) -> None:
    said = associate()
    for change in changes:
        said = change(said)
    with line(box.listener.port) as peer:
        hang_up(peer, said)
    whole(box)


@settings(max_examples=50, deadline=None)
@given(said=st.binary(max_size=200))
def test_noise(box: Box, said: bytes) -> None:
    with line(box.listener.port) as peer:
        hang_up(peer, said)
    whole(box)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_a_dataset_changed_at_random(box: Box, changes: list[Change]) -> None:
    """The PDUs are right, what they carry is not: an answer comes, and the association goes on."""
    data = DATA
    for change in changes:
        data = change(data)
    with association(box.listener.port) as peer:
        answer = peer.ask(store("1.2.3", data, fragment=300))
        assert answer.status in {0x0000, 0xB000, 0xB006, 0xB007, 0xA900, 0xC000}
        assert peer.ask(echo(2)).status == 0
    whole(box)
