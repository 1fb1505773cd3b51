"""Marks planted in every text of real datasets go through the whole box, and are nowhere after it.

Every byte below the data folder is looked at, while the box runs and after it: DICOM files and
pictures, the pages and the log of both databases, what was refused, discarded or cut short; and
everything that the box said, as talkative as it can be. Only what the profile keeps may be there.
"""

import re
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from tests.fault.boxes import HERE, Process, Site
from tests.fault.test_stop import soon
from tests.fault.wire import CT, Sender
from tests.instances import instance, study
from tests.interop.strange_pacs import StrangePacs
from tests.notify import notify_socket
from tests.unit.deidentify.test_survivors import MARK, Marks, allowed, kept, plant
from tools.hospital import corpus
from tools.hospital.box import appliance
from tools.hospital.sender import at_once

pytestmark = pytest.mark.filterwarnings("ignore")  # of pydicom, about what is planted

PATIENT = "QZ-WATCHED-4711"
NAME = "Qzyamada^Tarou=山田^太郎"
ROOT = "2.25.31415926535897932384626"
"""Of every UID that is sent: digits that occur nowhere else."""
LARGEST = 400_000
"""Bytes of the files that are sent."""
IDENTITY = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
STRUCTURE = {0x00080005, 0x00080016, 0x00080060}
"""Character set, class and modality, which tests of the profile itself look after."""
SUCCESS, MISMATCH, NOT_UNDERSTOOD, REFUSED = 0x0000, 0xA900, 0xC000, 0x0124


@dataclass(eq=False)
class Planted:
    """Datasets full of marks."""

    marks: Marks = field(default_factory=Marks)
    datasets: list[Dataset] = field(default_factory=list)

    def add(self, dataset: Dataset) -> Dataset:
        """Plant marks in a dataset, and give it UIDs of our own."""
        syntax = dataset.file_meta.TransferSyntaxUID
        structure = {
            tag: dataset[tag]
            for tag in list(dataset._dict)
            if tag in STRUCTURE or tag.group == 0x0028
        }
        plant(dataset, self.marks, (), None)  # type: ignore[no-untyped-call]
        for tag, element in structure.items():
            dataset[tag] = element
        for place, key in enumerate(sorted(IDENTITY)):
            setattr(dataset, key, f"{ROOT}.{len(self.datasets)}.{place}")
        dataset.PatientID, dataset.PatientName = PATIENT, NAME
        block = dataset.private_block(0x0029, "QZPRIVATE", create=True)
        block.add_new(1, "LT", self.marks.next((0x00291001,)))
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        self.datasets.append(dataset)
        return dataset

    def may_stay(self, mark: bytes) -> bool:
        """Whether the profile keeps the element in which a mark was planted."""
        path = self.marks.planted.get(mark)
        return path is None or kept(path) or allowed(path)

    def survivors(self, data: bytes) -> set[str]:
        """What is left in `data` and should not be."""
        found = {
            f"{mark.decode()} of {self.marks.planted[mark]}"
            for mark in set(MARK.findall(_plain(data)))
            if not self.may_stay(mark)
        }
        found |= {word for word in (PATIENT, ROOT, "Qzyamada", "QZPRIVATE") if word in _text(data)}
        if "山田".encode() in data or "山田".encode("iso2022_jp")[3:-3] in data:
            found.add("山田")
        return found


def _plain(data: bytes) -> bytes:
    """Bytes, and what they are if they are UTF-16."""
    return data + data.replace(b"\0", b"")


def _text(data: bytes) -> str:
    return _plain(data).decode("latin-1")


def real_datasets() -> Iterator[Dataset]:
    """Real instances of a moderate size, of every modality and transfer syntax that there is."""
    for file in corpus.instances():
        dataset = pydicom.dcmread(file)
        if file.stat().st_size < LARGEST and "SOPClassUID" in dataset:
            yield dataset


def send(port: int, datasets: Sequence[Dataset]) -> list[int]:
    """Store datasets as they are encoded; the status of each that could be sent."""
    statuses = []
    proposed = {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in datasets}
    contexts = [build_context(*pair) for pair in sorted(proposed)]
    association = AE("PACS").associate(
        "127.0.0.1",
        port,
        contexts,
        ae_title="HAPPY_netty",
        evt_handlers=[(evt.EVT_CONN_OPEN, at_once)],
    )
    assert association.is_established
    for dataset in datasets:
        try:
            statuses.append(association.send_c_store(dataset).get("Status", -1))
        except ValueError:  # its class is not accepted, or it cannot be encoded
            continue
    association.release()
    return statuses


@pytest.fixture(scope="module")
def planted() -> Planted:
    everything = Planted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset in real_datasets():
            everything.add(dataset)
    return everything


@pytest.fixture(scope="module")
def bodies(planted: Planted) -> list[tuple[str, bytes]]:
    """SOP instances of CT in Implicit VR, as bytes, for what is to be refused."""
    made = []
    for number in range(4):
        one = instance("P", f"{ROOT}.8", f"{ROOT}.8.1", number)
        one = planted.add(one)
        planted.datasets.pop()
        one.SOPInstanceUID = f"{ROOT}.9.{number}"
        one.Rows = one.Columns = 64
        one.PixelData = bytes(2 * 64 * 64)
        made.append((one.SOPInstanceUID, encode(one, True, True) or b""))
    return made


def look(site: Site, planted: Planted) -> None:
    """Look at every byte that the box has written."""
    seen = 0
    for path in [*site.data.rglob("*"), site.log]:
        if path.is_file():
            seen += 1
            left = planted.survivors(path.read_bytes()) | planted.survivors(str(path).encode())
            assert not left, f"{path.name}: {sorted(left)[:5]}"
    assert seen > 5


def marks_kept(site: Site) -> int:
    """How many different marks are in the DICOM files: the profile keeps those."""
    found: set[bytes] = set()
    for path in site.data.rglob("*.dcm"):
        found |= set(MARK.findall(path.read_bytes()))
    return len(found)


def test_the_whole_way_of_what_is_stored(planted: Planted, tmp_path: Path) -> None:
    site = Site.prepare(tmp_path / "box", profile="broad")
    with notify_socket(tmp_path) as systemd:
        box = Process(site, systemd, verbose=True)
        try:
            box.await_ready()
            statuses = send(site.port, planted.datasets)
            # Warnings are for what is wrong with the file; more is stored than anything else.
            stored = [status for status in statuses if status == SUCCESS or status >> 12 == 0xB]
            assert len(stored) > 80, statuses
            soon(lambda: site.query("SELECT queued FROM totals") == [(0,)], seconds=90)
            ((rendered,),) = site.query("SELECT rendered FROM totals")
            assert rendered > 60
            look(site, planted)
            assert box.stop() == 0
        finally:
            box.kill()
    look(site, planted)
    assert marks_kept(site) > 100, "what the profile keeps was not found either"
    assert len(site.log.read_bytes()) > 10_000, "it was not talkative"


@pytest.mark.parametrize("unsolicited", ["discard", "refuse"])
def test_what_is_not_kept_leaves_nothing(
    planted: Planted, bodies: list[tuple[str, bytes]], tmp_path: Path, unsolicited: str
) -> None:
    site = Site.prepare(tmp_path / "box", profile="strict", unsolicited=unsolicited)
    expected = SUCCESS if unsolicited == "discard" else 0xA700
    with notify_socket(tmp_path) as systemd:
        box = Process(site, systemd, verbose=True)
        try:
            box.await_ready()
            with Sender(site.port) as sender:
                for uid, body in bodies:
                    assert sender.store_bytes(CT, uid, body) == expected
            look(site, planted)
            assert box.stop() == 0
        finally:
            box.kill()
    look(site, planted)
    assert not list(site.data.rglob("*.dcm"))


def test_what_is_refused_or_cut_short_leaves_nothing(
    planted: Planted, bodies: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    site = Site.prepare(tmp_path / "box", profile="strict", unsolicited="store")
    with notify_socket(tmp_path) as systemd:
        box = Process(site, systemd, verbose=True)
        try:
            box.await_ready()
            (uid, body), *_ = bodies
            with Sender(site.port) as sender:
                assert sender.store_bytes(CT, f"{ROOT}.7", body) == MISMATCH
                assert sender.store_bytes(CT, uid, body[:-100]) == NOT_UNDERSTOOD
                assert sender.store_bytes(CT, uid, body[:300]) == NOT_UNDERSTOOD
                assert sender.store_bytes(CT, uid, body[200:]) == NOT_UNDERSTOOD
                assert sender.store_bytes(CT, uid, bytes(reversed(body))) == NOT_UNDERSTOOD
                message = sender.message(CT, uid, body)
                sender.socket.sendall(message[: len(message) // 2])
            soon(lambda: b"interrupted" in _counters(site))
            look(site, planted)
            assert box.stop() == 0
        finally:
            box.kill()
    look(site, planted)
    assert not list(site.data.rglob("*.dcm"))


def _counters(site: Site) -> bytes:
    return repr(site.query("SELECT name FROM counters")).encode()


def test_whom_the_box_watches_and_what_it_asks_for(planted: Planted, tmp_path: Path) -> None:
    """The way of a retrieval: the watch list, C-FIND, C-MOVE, and a request by hand."""
    uid = f"{ROOT}.6"
    found = study(PATIENT, uid)
    for one in found:
        one.PatientName, one.SpecificCharacterSet = NAME, ["", "ISO 2022 IR 87"]
        one.AccessionNumber = "QZ-ACCESSION"
    unlisted = study(PATIENT, f"{ROOT}.5.02")  # a UID that pydicom would comment on
    pacs = StrangePacs("STRANGE", [*found, *unlisted])

    with pacs.listening(), notify_socket(tmp_path) as systemd:
        site = Site.prepare(
            tmp_path / "box",
            unsolicited="discard",
            more=f"""
[query]
every = "1 s"
retry_first = "1 s"
settle = "1 s"

[[watch]]
patient_id = "{PATIENT}"
pseudonym = "NET-1"

[[watch]]
patient_id = "QZ-NOBODY"

[[remote]]
name = "strange"
title = "STRANGE"
host = "127.0.0.1"
port = {pacs.port}
retrieve = "move"
""",
        )
        pacs.box = ("HAPPY_netty", site.port)
        box = Process(site, systemd, verbose=True)
        try:
            box.await_ready()
            soon(lambda: site.query("SELECT held FROM totals") == [(6,)], seconds=40)
            fetched = _appliance("fetch", "strange", "--patient-id", PATIENT, site=site)
            assert "complete" in fetched
            assert PATIENT not in fetched
            fetched = _appliance("fetch", "strange", "--accession", "QZ-UNKNOWN", site=site)
            assert "has no such study" in fetched
            look(site, planted)
            assert box.stop() == 0
        finally:
            box.kill()
    look(site, planted)
    for path in [*site.data.rglob("*"), site.log]:
        if path.is_file():
            assert not re.search(
                rb"QZ-(WATCHED|NOBODY|ACCESSION|UNKNOWN)", _plain(path.read_bytes())
            ), path


def _appliance(*arguments: str, site: Site) -> str:
    command = appliance(*arguments, "--settings", site.settings, "--data", site.data)
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=60)
    return done.stdout + done.stderr


def test_the_search_finds_what_is_hidden(planted: Planted) -> None:
    """What the other tests look for would be seen: in any of these dresses."""
    mark = next(mark for mark in planted.marks.planted if not planted.may_stay(mark)).decode()
    for hidden in (mark, PATIENT, f"{ROOT}.1", NAME):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            assert planted.survivors(b"\xff\xd8" + hidden.encode(encoding) + b"\0\xff")
    assert planted.survivors(NAME.encode("iso2022_jp"))
    assert not planted.survivors(b"nothing of the kind")
