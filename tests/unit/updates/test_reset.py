"""The factory state: who may ask for it, and that it comes however often it is interrupted."""

import json
from pathlib import Path

import pytest

from appliance.provisioning.disk import Disk
from appliance.provisioning.signing import new_key, public_key, sign
from appliance.provisioning.stick import Unusable
from appliance.updates.reset import Reset, make_token

SERIAL = "NB-0001"
KEY = new_key()
TRUSTED = frozenset([public_key(KEY)])
NOBODY: frozenset[bytes] = frozenset()


class PowerCut(BaseException):
    pass


class FailingDisk(Disk):
    """Ends at the change of a number."""

    def __init__(self, changes: int) -> None:
        self.left = changes

    def remove(self, path: Path) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut
        super().remove(path)


def used(root: Path) -> Reset:
    """A box that has settings, images and a history of updates."""
    for name in (
        *("state/settings/1-x/netty.toml", "state/keys/pseudonym.key", "state/machine-id"),
        *("state/update/floor.json", "data/archive/images/1/2/3.jpg", "data/uploads/x.raucb"),
        "data/lost+found/x",
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("something")
    return Reset(root / "state", root / "data")


def left(root: Path) -> set[str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)) for path in files}


FACTORY = {"state/update/floor.json", "state/update/last-reset.json", "data/lost+found/x"}


def test_nothing_happens_unless_it_is_asked_for(tmp_path: Path) -> None:
    before = left(tmp_path)
    used(tmp_path).carry_out()
    assert left(tmp_path) >= before
    assert "state/keys/pseudonym.key" in left(tmp_path)


def test_what_was_told_and_received_goes_and_the_software_stays(tmp_path: Path) -> None:
    reset = used(tmp_path)
    assert reset.ask(make_token(SERIAL), None, SERIAL, NOBODY)
    reset.carry_out()
    assert left(tmp_path) == FACTORY


def test_an_interruption_anywhere_is_followed_by_the_whole_of_it(tmp_path: Path) -> None:
    for changes in range(20):
        root = tmp_path / str(changes)
        reset = used(root)
        reset.ask(make_token(SERIAL), None, SERIAL, NOBODY)
        try:
            Reset(reset.state, reset.data, FailingDisk(changes)).carry_out()
        except PowerCut:
            assert reset.order.exists()
        else:
            break
        reset.carry_out()
        assert left(root) == FACTORY
    else:
        pytest.fail("it never ended")
    assert changes > 5


def test_the_same_file_resets_once(tmp_path: Path) -> None:
    reset, token = used(tmp_path), make_token(SERIAL)
    assert reset.ask(token, None, SERIAL, NOBODY)
    reset.carry_out()
    assert not reset.ask(token, None, SERIAL, NOBODY), "the stick was left in"
    assert not reset.order.exists()
    assert reset.ask(make_token(SERIAL), None, SERIAL, NOBODY)
    reset.carry_out()
    assert not reset.ask(token, None, SERIAL, NOBODY), "not after another one either"


def test_the_record_of_an_earlier_version_counts(tmp_path: Path) -> None:
    reset, token = used(tmp_path), make_token(SERIAL)
    number = token.split()[-1].decode()
    record = tmp_path / "state/update/last-reset.json"
    record.write_text(json.dumps({"number": number}))
    assert not reset.ask(token, None, SERIAL, NOBODY)


@pytest.mark.parametrize("order", ["", "{}", "\0" * 64])
def test_an_order_that_cannot_be_read_is_struck_out_and_removes_nothing(
    tmp_path: Path, order: str
) -> None:
    """Else the box would restart for ever: its AE waits until there is no order."""
    reset = used(tmp_path)
    before = left(tmp_path)
    reset.order.write_text(order)
    reset.carry_out()
    assert left(tmp_path) == before


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (b"", "damaged"),
        (b"please\n", "damaged"),
        (make_token(SERIAL)[:-9], "damaged"),
        (make_token("NB-0002"), "another box: this one has the serial number NB-0001"),
    ],
    ids=["empty", "prose", "cut short", "another box"],
)
def test_only_a_whole_order_for_this_box_counts(tmp_path: Path, token: bytes, why: str) -> None:
    reset = used(tmp_path)
    with pytest.raises(Unusable, match=why):
        reset.ask(token, None, SERIAL, NOBODY)
    assert not reset.order.exists()


def test_a_box_that_trusts_keys_asks_for_a_signature(tmp_path: Path) -> None:
    reset, token = used(tmp_path), make_token(SERIAL)
    with pytest.raises(Unusable, match="not signed"):
        reset.ask(token, None, SERIAL, TRUSTED)
    with pytest.raises(Unusable, match="does not trust"):
        reset.ask(token, sign(token, None, [new_key()]), SERIAL, TRUSTED)
    with pytest.raises(Unusable, match="does not belong"):
        reset.ask(token, sign(make_token(SERIAL), None, [KEY]), SERIAL, TRUSTED)
    assert not reset.order.exists()
    assert reset.ask(token, sign(token, None, [KEY]), SERIAL, TRUSTED)
