"""C-STORE on the wire before the real storage: each status from the condition that it stands for.

What is refused leaves nothing behind, what is acknowledged is a file and a row.
"""

import errno
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.archive.files import Folders, PendingFile
from appliance.archive.recovery import open_recovered
from appliance.archive.requests import Requests
from appliance.dicom.sop_classes import Profile
from appliance.dicom.statuses import MEANINGS, statuses
from appliance.settings.model import LocalAE
from tests.unit.dicom.keeping import STUDY, Keeping, encapsulated, encoded, image, keeping, storing
from tests.unit.dicom.listening import OURS, SENDER, listening, until
from tests.unit.dicom.wire import (
    ABORTED,
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    EXPLICIT,
    IMPLICIT,
    RELEASE,
    SECONDARY_CAPTURE,
    VERIFICATION,
    Answer,
    Context,
    Line,
    associate,
    association,
    echo,
    line,
    pdata,
    store,
    store_command,
    value,
)

BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, JPEG_2000)

BY_SYNTAX = {uid: 2 * place + 5 for place, uid in enumerate(SYNTAXES)}
"""Presentation contexts for CT, one for each transfer syntax."""

DOSE = "1.2.840.10008.5.1.4.1.1.88.67"
"""X-Ray Radiation Dose SR."""

PROFILES: tuple[Profile, ...] = ("strict", "broad")


@contextmanager
def peer(
    folder: Path, ae: LocalAE = OURS, *, suspended: bool = False, **options: Any
) -> Iterator[tuple[Keeping, Line]]:
    """The storage, and an association with it on which CT may come in every syntax."""
    contexts = [ECHO_CONTEXT, CT_CONTEXT]
    if ae.profile == "broad":
        contexts += [Context(number, CT, (uid,)) for uid, number in BY_SYNTAX.items()]
    with (
        keeping(folder, ae, suspended=lambda: suspended, **options) as kept,
        listening(kept.storage, ae, suspended=lambda: suspended, proven=SYNTAXES) as listener,
        association(listener.port, associate(contexts)) as connected,
    ):
        yield kept, connected


def send(to: Line, dataset: Dataset | bytes, instance: str = "1.2.3", **options: Any) -> Answer:
    data = dataset if isinstance(dataset, bytes) else encoded(dataset)
    return to.ask(store(instance, data, **options))


def of(profile: Profile, **changes: Any) -> LocalAE:
    return storing(replace(OURS, profile=profile), **changes)


@pytest.mark.parametrize("profile", PROFILES)
def test_0000_stored_because_it_was_asked_for(tmp_path: Path, profile: Profile) -> None:
    with peer(tmp_path, of(profile, unsolicited="discard")) as (kept, sender):
        kept.solicit()
        answer = send(sender, image())
        assert (answer.status, answer.comment) == (0x0000, "")
        assert (len(kept.files), kept.held, kept.counters) == (1, 1, {})
        dataset = pydicom.dcmread(kept.files[0])
        assert dataset.PixelData == image().PixelData
        assert (dataset.PatientIdentityRemoved, dataset.SOPClassUID) == ("YES", CT)
        assert kept.files[0].stem == dataset.SOPInstanceUID != "1.2.3"
        assert "4711" not in str(dataset)


@pytest.mark.parametrize("profile", PROFILES)
def test_0000_discarded_because_nobody_asked(tmp_path: Path, profile: Profile) -> None:
    with peer(tmp_path, of(profile, unsolicited="discard")) as (kept, sender):
        kept.solicit(remote="another")
        kept.solicit(study="1.2.392.2")
        answer = send(sender, image())
        assert (answer.status, answer.comment) == (0x0000, "")
        assert kept.nothing_kept
        assert kept.counters == {"discarded": 1}


def test_what_is_no_longer_asked_for_is_discarded(tmp_path: Path) -> None:
    with peer(tmp_path) as (kept, sender):
        asked = kept.storage.solicitation.ask(SENDER.name, STUDY, frozenset())
        assert send(sender, image("1.1"), "1.1").status == 0
        kept.storage.solicitation.end(asked)
        assert send(sender, image("1.2"), "1.2").status == 0
        assert (kept.held, kept.counters) == (1, {"discarded": 1})


@pytest.mark.parametrize("profile", PROFILES)
def test_0000_stored_because_the_settings_store_everything(
    tmp_path: Path, profile: Profile
) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        assert send(sender, image()).status == 0x0000
        assert kept.held == 1


@pytest.mark.parametrize(("profile", "code"), [("strict", 0xA700), ("broad", 0x0124)])
def test_unsolicited_refused(tmp_path: Path, profile: Profile, code: int) -> None:
    with peer(tmp_path, of(profile, unsolicited="refuse")) as (kept, sender):
        answer = send(sender, image())
        assert (answer.status, answer.comment) == (code, "the study was not asked for")
        assert kept.nothing_kept
        assert kept.counters == {"refused": 1}
        kept.solicit()
        assert send(sender, image()).status == 0x0000


def test_the_same_instance_again(tmp_path: Path) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender):
        for _ in range(3):
            assert send(sender, image()).status == 0x0000
        assert (len(kept.files), kept.held) == (1, 1)


@pytest.mark.parametrize("profile", PROFILES)
def test_a700_before_the_reserve_is_touched(tmp_path: Path, profile: Profile) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        kept.disk.free = 0
        answer = send(sender, image())
        assert (answer.status, answer.comment) == (0xA700, "no space left above the reserve")
        assert kept.nothing_kept
        kept.disk.free = 1 << 20
        kept.look_again()
        assert send(sender, image()).status == 0x0000


@pytest.mark.parametrize("free", [100, 1000, 20_000])
def test_a700_when_the_space_ends_in_mid_dataset(tmp_path: Path, free: int) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender):
        kept.disk.free = free
        assert send(sender, image(PixelData=bytes(100_000))).status == 0xA700
        assert kept.nothing_kept
        assert send(sender, image()).status == 0xA700, "what was refused last would not fit yet"
        kept.disk.free = 1 << 20
        kept.look_again()
        assert send(sender, image()).status == 0x0000


def test_a700_when_the_files_cannot_be_written(tmp_path: Path) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender):
        kept.storage.folders.dicom.rmdir()
        kept.storage.folders.dicom.write_text("a file where the folder should be")
        answer = send(sender, image())
        assert answer.status == 0xA700
        assert answer.comment == "the box cannot write now; send again later"
        kept.storage.folders.dicom.unlink()
        assert send(sender, image()).status == 0x0000


@pytest.mark.parametrize("step", ["write", "settle"])
def test_a700_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender), monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "the disk is broken")

        broken.setattr(PendingFile, step, fail)
        assert send(sender, image()).status == 0xA700
        assert kept.nothing_kept
        broken.undo()
        assert send(sender, image()).status == 0x0000


def test_a700_when_the_disk_cannot_be_asked(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    with peer(tmp_path, of("broad")) as (kept, sender):
        kept.storage.space._statvfs = fail
        assert send(sender, image()).status == 0xA700
        assert send(sender, image()).status == 0xA700
        assert kept.storage.intake.stop(0.0)


def test_a700_when_the_catalogue_fails(tmp_path: Path) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender):
        kept.storage.catalogue._committer.close()
        assert send(sender, image()).status == 0xA700


@pytest.mark.parametrize("profile", PROFILES)
def test_a700_while_the_box_stops(tmp_path: Path, profile: Profile) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        assert kept.storage.intake.stop(0.0)
        answer = send(sender, image())
        assert (answer.status, answer.comment) == (0xA700, "the box is stopping; send again")
        assert kept.nothing_kept


def test_a_store_that_runs_ends_while_the_box_stops(tmp_path: Path) -> None:
    data = encoded(image())
    with peer(tmp_path, of("broad")) as (kept, sender):
        sender.say(pdata(value(3, 3, store_command("1.2.3"))) + pdata(value(3, 0, data[:50])))
        until(lambda: kept.storage.intake._running == 1, "the store has not begun")
        assert not kept.storage.intake.stop(0.0)
        assert sender.ask(pdata(value(3, 2, data[50:]))).status == 0x0000
        assert kept.storage.intake.stop(1.0)
        assert kept.held == 1


@pytest.mark.parametrize(("profile", "code"), [("strict", 0xA800), ("broad", 0x0122)])
@pytest.mark.parametrize(
    ("context", "sop_class"),
    [(CT_CONTEXT.number, SECONDARY_CAPTURE), (1, CT), (1, VERIFICATION), (3, ""), (3, "1.2.3")],
)
def test_class_not_supported(
    tmp_path: Path, profile: Profile, code: int, context: int, sop_class: str
) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        dataset = image(SOPClassUID=sop_class)
        assert send(sender, dataset, context=context, sop_class=sop_class).status == code
        assert kept.nothing_kept
        assert send(sender, image()).status == 0x0000


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "dataset",
    [
        image(SOPClassUID=SECONDARY_CAPTURE),
        image("1.2.4"),
        image(SOPInstanceUID=None),
        image(SOPClassUID=None),
        Dataset(),
    ],
    ids=["another class", "another instance", "no instance", "no class", "nothing"],
)
def test_a900_dataset_and_command_differ(
    tmp_path: Path, profile: Profile, dataset: Dataset
) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        assert send(sender, dataset).status == 0xA900
        assert kept.nothing_kept


def cut_short(dataset: Dataset, by: int, syntax: str = IMPLICIT) -> tuple[bytes, str]:
    return encoded(dataset, syntax)[:-by], syntax


def replaced(dataset: Dataset, old: bytes, new: bytes, syntax: str) -> tuple[bytes, str]:
    data = encoded(dataset, syntax)
    assert data.count(old) == 1
    return data.replace(old, new), syntax


LAST_FRAGMENT = b"\xfe\xff\xdd\xe0" + bytes(4)

NOT_UNDERSTOOD = {
    "garbage": (b"\xff" * 5000, IMPLICIT),
    "text": (b"<html>" * 1000, EXPLICIT),
    "no study": (encoded(image(StudyInstanceUID=None)), IMPLICIT),
    "no series": (encoded(image(SeriesInstanceUID=None)), IMPLICIT),
    "cut off in its header": cut_short(image(), 250),
    "cut off in its pixels": cut_short(image(), 1),
    "cut off before its pixels": cut_short(image(), 128),
    "cut off in the last element": cut_short(image(PixelData=None), 1),
    "a fragment missing": cut_short(encapsulated(), 9, JPEG_2000),
    "no delimiter": cut_short(encapsulated(), 8, JPEG_2000),
    "an element among fragments": replaced(
        encapsulated(), LAST_FRAGMENT, b"\x10\x00\x10\x00\x00\x00\x00\x00", JPEG_2000
    ),
    "a fragment of undefined length": replaced(
        encapsulated(), LAST_FRAGMENT, b"\xfe\xff\x00\xe0\xff\xff\xff\xff", JPEG_2000
    ),
    "a deflated dataset that is none": (b"\x00" * 100, DEFLATED),
    "a deflated dataset cut off": cut_short(image(), 5, DEFLATED),
    "nothing deflated": (b"", DEFLATED),
    "header too large": (encoded(image(TextValue="x" * (1 << 20))), IMPLICIT),
    "header too large, deflated": (
        encoded(image(TextValue="x" * (1 << 20)), DEFLATED), DEFLATED
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "syntax"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_c000_cannot_be_understood(tmp_path: Path, data: bytes, syntax: str) -> None:
    with peer(tmp_path, of("broad", largest_header=1 << 20)) as (kept, sender):
        assert send(sender, data, context=BY_SYNTAX[syntax]).status == 0xC000
        assert kept.nothing_kept
        assert kept.counters == {"refused": 1}
        assert send(sender, image()).status == 0x0000


@pytest.mark.parametrize("profile", PROFILES)
def test_c000_in_both_profiles(tmp_path: Path, profile: Profile) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        answer = send(sender, NOT_UNDERSTOOD["cut off in its pixels"][0])
        assert (answer.status, answer.comment) == (0xC000, "the pixel data is truncated")
        assert kept.nothing_kept


@pytest.mark.filterwarnings("ignore:.*VR UI")
@pytest.mark.parametrize("uid", ["../../../etc/passwd", ".", "1.2/3", "1.2 3", "x", "1." * 33])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_uid_never_becomes_a_path(tmp_path: Path, keyword: str, uid: str) -> None:
    """Under `clear` UIDs are kept, so a malformed one cannot be a file's name."""
    with peer(tmp_path / "box" / "data", of("broad"), profile="clear") as (kept, sender):
        instance = uid if keyword == "SOPInstanceUID" else "1.2.3"
        assert send(sender, image(**{keyword: uid}), instance).status in (0xC000, 0xA900)
        assert kept.nothing_kept
        assert [path.name for path in tmp_path.iterdir()] == ["box"]
        assert [path.name for path in (tmp_path / "box").iterdir()] == ["data"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("label", ["ISO 2020 IR 87", "UTF-8", "ISO-IR 100"])
def test_b000_coercion(tmp_path: Path, profile: Profile, label: str) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        dataset = image(SpecificCharacterSet=None, PatientName="Yamada^Tarou")
        head = b"\x08\x00\x05\x00" + len(label).to_bytes(4, "little") + label.encode()
        answer = send(sender, head + encoded(dataset))
        assert answer.status == 0xB000
        assert answer.comment.startswith("repaired: (0008,0005)")
        assert (kept.held, len(kept.files)) == (1, 1)


def broken_item() -> bytes:
    """A dataset with a VOI LUT whose last element is longer than the item that it stands in."""
    element = b"\x28\x00\x02\x30\xff\x00\x00\x00abcd"
    item = b"\xfe\xff\x00\xe0" + len(element).to_bytes(4, "little") + element
    sequence = b"\x28\x00\x10\x30" + len(item).to_bytes(4, "little") + item
    data = encoded(image())
    at = data.index(b"\xe0\x7f\x10\x00")
    return data[:at] + sequence + data[at:]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "data",
    [broken_item(), encoded(image()) + b"\x10\x00\x10\x00\x02\x00\x00\x00ab"],
    ids=["in a sequence", "after the pixels"],
)
def test_b006_elements_discarded(tmp_path: Path, profile: Profile, data: bytes) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        answer = send(sender, data)
        assert answer.status == 0xB006
        assert answer.comment.startswith("discarded: ")
        assert (kept.held, len(kept.files)) == (1, 1)
        assert pydicom.dcmread(kept.files[0]).PixelData == image().PixelData


def test_padding_after_the_pixels_is_no_fault(tmp_path: Path) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender):
        padding = b"\xfc\xff\xfc\xff\x06\x00\x00\x00" + bytes(6)
        assert send(sender, encoded(image()) + padding).status == 0x0000
        assert kept.files[0].read_bytes().endswith(image().PixelData)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "dataset",
    [image(PixelData=None), image(Rows=None), image(Rows=0), image(Columns=0)],
    ids=["no pixels", "no rows", "0 rows", "0 columns"],
)
def test_b007_an_image_without_an_image(tmp_path: Path, profile: Profile, dataset: Dataset) -> None:
    with peer(tmp_path, of(profile)) as (kept, sender):
        answer = send(sender, dataset)
        assert (answer.status, answer.comment) == (0xB007, "an image class without an image")
        assert (kept.held, len(kept.files)) == (1, 1)


def test_ff00_while_suspended_in_the_strict_profile(tmp_path: Path) -> None:
    with peer(tmp_path, of("strict"), suspended=True) as (kept, sender):
        assert sender.ask(echo()).status == 0x0000
        answer = send(sender, image())
        assert (answer.status, answer.comment) == (0xFF00, "suspended; send again later")
        assert kept.nothing_kept


def test_associations_are_rejected_while_suspended_in_the_broad_profile(tmp_path: Path) -> None:
    suspended = [False]
    with (
        keeping(tmp_path, of("broad")) as kept,
        listening(kept.storage, of("broad"), suspended=lambda: suspended[0]) as listener,
        association(listener.port) as before,
    ):
        suspended[0] = True
        with line(listener.port) as after:
            assert after.ask(associate()).rejection == (2, 3, 2)
        assert send(before, image()).status == 0x0000, "what runs may end"


def test_a700_when_nobody_knows_whether_the_box_is_suspended(tmp_path: Path) -> None:
    requests = Requests.open(tmp_path / "requests.sqlite")
    requests.close()
    ae = of("strict")
    with (
        keeping(tmp_path / "data", ae, suspended=lambda: requests.suspended) as kept,
        listening(kept.storage, ae) as listener,
        association(listener.port) as sender,
    ):
        assert send(sender, image()).status == 0xA700


@pytest.mark.parametrize("profile", PROFILES)
def test_every_status_of_the_table_is_tested_here(profile: Profile) -> None:
    """A new row needs a test of its own; this one only counts them."""
    tested = {0x0000, 0xB000, 0xB006, 0xB007, 0xA700, 0xA900, 0xC000}
    tested |= {"strict": {0xA800, 0xFF00}, "broad": {0x0122, 0x0124}}[profile]
    assert {code for code, _, _ in statuses(profile)} == tested
    assert {code for code, _, _ in MEANINGS} >= tested


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("fragment", [1, 37, 16_378])
def test_every_encoding_arrives_as_it_was(tmp_path: Path, syntax: str, fragment: int) -> None:
    dataset = encapsulated() if syntax == JPEG_2000 else image()
    data = encoded(dataset, syntax)
    with peer(tmp_path, of("broad")) as (kept, sender):
        answer = send(sender, data, context=BY_SYNTAX[syntax], fragment=fragment)
        assert answer.status == 0x0000
        stored = pydicom.dcmread(kept.files[0])
    expected = EXPLICIT if syntax == DEFLATED else syntax
    assert stored.file_meta.TransferSyntaxUID == expected
    assert stored.PixelData == dataset.PixelData
    assert (stored.Rows, stored.BitsStored, stored.Modality) == (8, 12, "CT")


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG_2000])
def test_a_large_instance_streams_to_its_file(tmp_path: Path, syntax: str) -> None:
    dataset = encapsulated(frames=40) if syntax == JPEG_2000 else image()
    if syntax == EXPLICIT:
        dataset.PixelData = bytes(range(256)) * 40_000
    with peer(tmp_path, of("broad")) as (kept, sender):
        data = encoded(dataset, syntax)
        assert send(sender, data, context=BY_SYNTAX[syntax]).status == 0x0000
        assert pydicom.dcmread(kept.files[0]).PixelData == dataset.PixelData


@pytest.mark.parametrize("syntax", [uid for uid in SYNTAXES if uid != JPEG_2000])
@pytest.mark.parametrize("fragment", [1, 37, 16_378])
def test_text_in_native_pixels_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, fragment: int
) -> None:
    """Every byte that is given to the disk is looked at: one that went and was blackened counts."""
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 2
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 7, 5
    text, picture = b"QZ" * 8, bytes(range(64))
    dataset = image(
        Modality="US", SequenceOfUltrasoundRegions=[region], PixelData=2 * text + picture + 2 * text
    )
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset["PixelData"].VR = "OW"
    written: list[bytes] = []
    write = PendingFile.write

    def noted(pending: PendingFile, buffers: Any) -> None:
        written.extend(map(bytes, buffers))
        write(pending, buffers)

    monkeypatch.setattr(PendingFile, "write", noted)
    with peer(tmp_path, of("broad")) as (kept, sender):
        data = encoded(dataset, syntax)
        assert data.count(b"QZ") or syntax == DEFLATED
        answer = send(sender, data, context=BY_SYNTAX[syntax], fragment=fragment)
        assert answer.status == 0x0000
        stored = pydicom.dcmread(kept.files[0])
    assert b"QZ" not in b"".join(written)
    assert stored.PixelData == bytes(32) + picture + bytes(32)
    assert stored.BurnedInAnnotation == "NO"
    assert [code.CodeValue for code in stored.DeidentificationMethodCodeSequence] == [
        "113100",
        "113101",
    ]


def test_what_follows_a_deflated_dataset_is_not_hoarded(tmp_path: Path) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender):
        data = encoded(image(), DEFLATED) + bytes(4 << 20)
        assert send(sender, data, context=BY_SYNTAX[DEFLATED]).status == 0x0000
        assert kept.files[0].stat().st_size < 2000


def test_what_inflates_without_end_meets_the_reserve(tmp_path: Path) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    dataset = image(PixelData=bytes(16 << 20))
    data = bomb.compress(encoded(dataset, EXPLICIT)) + bomb.flush()
    assert len(data) < 100_000
    with peer(tmp_path, of("broad")) as (kept, sender):
        kept.disk.free = 4 << 20
        assert send(sender, data, context=BY_SYNTAX[DEFLATED]).status == 0xA700
        assert kept.nothing_kept


@pytest.mark.parametrize(
    "end",
    [ABORTED, RELEASE, b"", store("1.2.4", b"")],
    ids=["abort", "release", "lost", "another store"],
)
@pytest.mark.parametrize("size", [10, 400, 90_000])
def test_an_instance_that_is_broken_off_leaves_nothing(
    tmp_path: Path, end: bytes, size: int
) -> None:
    data = encoded(image(PixelData=bytes(100_000)))
    with peer(tmp_path, of("broad")) as (kept, sender):
        sender.say(pdata(value(3, 3, store_command("1.2.3"))))
        sender.say(pdata(value(3, 0, data[:size])) + end)
        if not end:
            sender.socket.close()
        until(lambda: kept.counters == {"interrupted": 1}, "the instance was not given up")
        assert kept.nothing_kept
        assert kept.storage.intake.stop(0.0)


def test_a_storage_that_fails_unexpectedly_ends_the_association_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with peer(tmp_path, of("broad")) as (kept, sender), monkeypatch.context() as broken:
        broken.setattr(kept.storage.catalogue.__class__, "store", lambda *_: 1 / 0)
        sender.say(store("1.2.3", encoded(image())))
        assert sender.rest() == [7]
        assert kept.storage.intake.stop(0.0), "the failed store still counts as running"
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("keyword", ["InstanceNumber", "NumberOfFrames", "SeriesNumber"])
def test_a_number_that_no_catalogue_can_hold_is_none(tmp_path: Path, keyword: str) -> None:
    """The file keeps it; nothing that reads it later may stumble over it."""
    data = encoded(image(**{keyword: "777777"})).replace(
        b"\x06\0\0\x00777777", b"\x14\0\0\x0099999999999999999999"
    )
    assert b"9999999999" in data
    with peer(tmp_path, of("broad")) as (kept, sender):
        assert send(sender, data).status == 0x0000
        catalogue = kept.storage.catalogue
        assert catalogue.describe_series(10) == 1
        (job,) = catalogue.next_renders(10, time.time())
        assert job.frames == 1
    with closing(open_recovered(Folders(tmp_path))) as catalogue:
        assert catalogue.status().instances == 1


def coded(kind: str, meaning: str, **values: Any) -> Dataset:
    """A content item (PS3.3 Section C.17.3.2)."""
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "1", "99TEST", meaning
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", kind, [name]
    for keyword in values:
        setattr(item, keyword, values[keyword])
    return item


@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_a_dose_report_is_kept_without_a_picture_and_without_names(
    tmp_path: Path, profile: str
) -> None:
    report = image(SOPClassUID=DOSE, Modality="SR", Rows=None, Columns=None, PixelData=None)
    report.ValueType = "CONTAINER"
    report.ContentSequence = [
        coded("PNAME", "Person Observer Name", PersonName="SMITH^ANN"),
        coded(
            "CONTAINER",
            "Irradiation Event",
            ContentSequence=[coded("UIDREF", "Irradiation Event UID", UID="1.2.3.4.5")],
        ),
    ]
    ae = replace(of("broad"), profile="broad")
    with (
        keeping(tmp_path, ae, profile=profile) as kept,
        listening(kept.storage, ae, proven=SYNTAXES) as listener,
        association(listener.port, associate([Context(5, DOSE)])) as sender,
    ):
        answer = send(sender, report, context=5, sop_class=DOSE)
        assert answer.status == 0x0000
        (file,) = kept.files
        (row,) = kept.storage.catalogue.instances(file.parts[-3])
        content = file.read_bytes()
        assert kept.storage.catalogue.status().without_picture == 1
    for secret in ("Müller".encode("latin-1"), b"4711"):
        assert secret not in content
    if profile == "basic":
        assert b"SMITH^ANN" not in content
    assert row.picture == "none"


def test_an_instance_is_a_response_before_its_header_is_known(tmp_path: Path) -> None:
    """The header of a report may be all of it, and take minutes."""
    with peer(tmp_path, of("broad")) as (kept, sender):
        asked = kept.storage.solicitation.ask(SENDER.name, STUDY, frozenset())
        asked.last_activity = 0.0
        whole = store("1.2.3", encoded(image()), fragment=64)
        first = store_command("1.2.3")
        begun = len(pdata(value(CT_CONTEXT.number, 3, first))) + 3 * (64 + 12)
        sender.say(whole[:begun])
        until(lambda: asked.last_activity > 0, "the instance counts")
        assert sender.ask(whole[begun:]).status == 0x0000
