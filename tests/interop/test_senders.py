"""Senders that nobody here wrote: storescu, dcmsend, gdcmscu, Orthanc; and echoscu and the rest."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from appliance.dicom.sop_classes import storage_classes
from appliance.settings.model import Images, RemoteAE
from tests.interop.boxes import SENDER, TITLE, Box, box, settings
from tools.hospital import corpus, volume
from tools.hospital.peers import ENVIRONMENT, Peer, free_port, orthanc, program
from tools.hospital.sender import at_once, presentation

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4."
RLE = "1.2.840.10008.1.2.5"

ORTHANC = RemoteAE(name="orthanc", title="ORTHANC", host="127.0.0.1", query=False)
CLEAR = Images(deidentify="clear", workers=1)
"""Under `clear` UIDs stay, so that an instance is found again by its own."""


def run(name: str, *arguments: object, fails: bool = False) -> str:
    """Run a program of DCMTK or GDCM; what it said. AssertionError unless it ends as it should."""
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, f"{name} ended with {done.returncode}: {said}"
    return said


@pytest.fixture(scope="module")
def broad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    wanted = settings(free_port(), SENDER, ORTHANC, ae={"unsolicited": "store"}, images=CLEAR)
    with box(tmp_path_factory.mktemp("broad"), wanted) as running:
        yield running


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    ae = {"unsolicited": "store", "profile": "strict"}
    wanted = settings(free_port(), SENDER, ORTHANC, ae=ae, images=CLEAR)
    with box(tmp_path_factory.mktemp("strict"), wanted) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slice of a CT, implicit and not compressed."""
    (file,) = volume.write(volume.Study(slices=1), tmp_path_factory.mktemp("plain"))
    return file


def to(target: Box, *options: str) -> tuple[object, ...]:
    return ("-aet", "SENDER", "-aec", TITLE, *options, "127.0.0.1", target.port)


def renamed(source: Path, folder: Path, instance: str) -> Path:
    """A copy that is an instance of its own."""
    dataset = pydicom.dcmread(source)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    path = folder / f"{instance}.dcm"
    dataset.save_as(path)
    return path


def kept(target: Box, sent: Path) -> pydicom.Dataset:
    """What the box made of a file: its pixels must be those that were sent."""
    original = pydicom.dcmread(sent)
    stored = target.dataset(original.SOPInstanceUID)
    if stored.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID:
        assert stored.PixelData == original.PixelData
    else:
        assert (stored.pixel_array == original.pixel_array).all()
    return stored


CONVERTED = {
    "-xi": (("dcmconv", "+ti"), IMPLICIT),
    "-xe": (("dcmconv", "+te"), EXPLICIT),
    "-xb": (("dcmconv", "+tb"), BIG_ENDIAN),
    "-xd": (("dcmconv", "+td"), DEFLATED),
    "-xr": (("dcmcrle",), RLE),
    "-xs": (("dcmcjpeg", "+e1"), JPEG + "70"),
    "-xx": (("dcmcjpeg", "+ee"), JPEG + "51"),
    "-xt": (("dcmcjpls", "+el"), JPEG + "80"),
    "-xu": (("dcmcjpls", "+en", "+md", "2"), JPEG + "81"),
}
"""By storescu's option for a transfer syntax: what makes a file of it, and the syntax."""

AS_THEY_ARE = {
    "-xy": ("SC_rgb_dcmtk_+eb+cr.dcm", JPEG + "50"),
    "-xv": ("RG3_J2KR.dcm", JPEG + "90"),
    "-xw": ("RG3_J2KI.dcm", JPEG + "91"),
}
"""The same, for syntaxes of which DCMTK makes none: files of the corpus."""


@pytest.mark.parametrize("option", CONVERTED)
def test_storescu_in_every_syntax(broad: Box, plain: Path, option: str, tmp_path: Path) -> None:
    (tool, *arguments), syntax = CONVERTED[option]
    file = tmp_path / "converted.dcm"
    run(tool, *arguments, renamed(plain, tmp_path, f"1.2.392.7.{ord(option[-1])}"), file)
    assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == syntax
    run("storescu", "-R", option, *to(broad), file)
    stored = kept(broad, file)
    assert stored.file_meta.TransferSyntaxUID == (EXPLICIT if syntax == DEFLATED else syntax)
    assert stored.PatientName == ""


@pytest.mark.parametrize("option", AS_THEY_ARE)
def test_storescu_with_real_compressed_files(broad: Box, option: str) -> None:
    name, syntax = AS_THEY_ARE[option]
    run("storescu", "-R", option, *to(broad), corpus.file(name))
    assert kept(broad, corpus.file(name)).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize(
    "options",
    [
        ("--max-pdu", "4096"),
        ("--max-pdu", "131072"),
        ("--max-send-pdu", "4096"),
        ("--max-send-pdu", "131072"),
        ("+C",),
        ("-x=",),
        ("--repeat", "3"),
        ("+II", "--repeat", "3"),
        ("-nh", "-v"),
    ],
    ids=" ".join,
)
def test_storescu_with_its_other_options(
    broad: Box, plain: Path, options: Sequence[str], tmp_path: Path
) -> None:
    before = broad.held
    file = renamed(plain, tmp_path, "1.2.392.8.1")
    run("storescu", *options, *to(broad), file)
    if "+II" not in options:
        kept(broad, file)
    else:
        assert broad.held == before + 3, "an instance for each turn"


def test_storescu_sends_a_folder(broad: Box, tmp_path: Path) -> None:
    study = volume.Study(slices=6, root="2.25.6")
    files = volume.write(study, tmp_path / "deep" / "er")
    run("storescu", "+sd", "+r", *to(broad), tmp_path)
    for file in files:
        kept(broad, file)


def test_storescu_meets_the_strict_profile(strict: Box, plain: Path, tmp_path: Path) -> None:
    file = renamed(plain, tmp_path, "1.2.392.9.1")
    run("storescu", *to(strict), file)
    assert kept(strict, file).file_meta.TransferSyntaxUID == IMPLICIT
    held = strict.held
    compressed = corpus.file("SC_rgb_dcmtk_+eb+cr.dcm")
    run("storescu", "-R", "-xy", *to(strict), compressed, fails=True)
    run("storescu", "-R", *to(strict), corpus.file("rtdose.dcm"), fails=True)
    assert strict.held == held


@pytest.mark.parametrize("halts", [True, False])
def test_storescu_hears_of_an_instance_that_is_refused(
    broad: Box, plain: Path, halts: bool, tmp_path: Path
) -> None:
    """A dataset that does not say which study it belongs to."""
    root = f"1.2.392.10.{int(halts)}"
    files = [renamed(plain, tmp_path, f"{root}.{number}") for number in range(3)]
    lying = pydicom.dcmread(files[1])
    del lying.StudyInstanceUID
    lying.save_as(files[1])
    options = ("-v",) if halts else ("-v", "--no-halt")
    said = run("storescu", *options, *to(broad), *files, fails=halts)
    assert "Error: CannotUnderstand" in said
    stored = [uid for uid in range(3) if broad.file(f"{root}.{uid}")]
    assert stored == ([0] if halts else [0, 2])


TRUNCATED = {"MR_truncated.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"}
IMPLICIT_BUT_CALLED_EXPLICIT = {"SC_rgb_jpeg.dcm"}
OF_ANOTHER_NAME = {
    *("badVR.dcm", "rtdose.dcm", "rtdose_1frame.dcm", "rtdose_expb.dcm", "rtdose_expb_1frame.dcm"),
    *("chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm"),
}
"""Files whose dataset is another instance than their meta information says."""


@pytest.mark.filterwarnings("ignore")  # pydicom complains of what is broken on purpose
def test_every_real_file_of_our_classes(broad: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pynetdicom, byte by byte as they are: all are kept but those that must not be."""
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)
    ours = {row.uid for row in storage_classes("broad")}
    files = [file for file in corpus.instances() if presentation(file)[0] in ours]
    assert len(files) > 220
    proposed = sorted({presentation(file) for file in files})
    assert len(proposed) <= 128
    held = broad.held
    entity = AE("SENDER")
    association = entity.associate(
        "127.0.0.1",
        broad.port,
        [build_context(*pair) for pair in proposed],
        TITLE,
        evt_handlers=[(evt.EVT_CONN_OPEN, at_once)],
    )
    statuses = {file.name: association.send_c_store(file).Status for file in files}
    association.release()
    refused = {name: status for name, status in statuses.items() if status not in (0, 0xB007)}
    assert refused == {
        **dict.fromkeys(TRUNCATED | IMPLICIT_BUT_CALLED_EXPLICIT, 0xC000),
        **dict.fromkeys(OF_ANOTHER_NAME, 0xA900),
    }
    assert broad.held > held + 150, "some of the files are the same instance"


def test_dcmsend(broad: Box, tmp_path: Path) -> None:
    files = volume.write(volume.Study(slices=12, root="2.25.12"), tmp_path / "ct")
    mixed = [corpus.file(name) for name, _ in AS_THEY_ARE.values()]
    report = tmp_path / "report.txt"
    run("dcmsend", "--decompress-never", "+crf", report, *to(broad), *files, *mixed)
    assert "with status SUCCESS" in report.read_text()
    for file in (*files, *mixed):
        kept(broad, file)


def test_dcmsend_decompresses_for_the_strict_profile(
    strict: Box, plain: Path, tmp_path: Path
) -> None:
    lossless = tmp_path / "lossless.dcm"
    run("dcmcjpeg", "+e1", renamed(plain, tmp_path, "1.2.392.11.1"), lossless)
    run("dcmsend", "--decompress-lossless", *to(strict), lossless)
    assert kept(strict, lossless).file_meta.TransferSyntaxUID == IMPLICIT


def test_gdcmscu(broad: Box, plain: Path, tmp_path: Path) -> None:
    """It dies of an exception of its own when all is done, with DCMTK's storescp as well."""
    file = renamed(plain, tmp_path, "1.2.392.12.1")
    call = ("--aetitle", "SENDER", "--call", TITLE, "127.0.0.1", str(broad.port))
    command = [program("gdcmscu"), "--store", *call, str(file)]
    subprocess.run(command, capture_output=True, timeout=60, check=False)
    kept(broad, file)


@pytest.fixture(scope="module")
def pacs(
    broad: Box, strict: Box, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Peer, list[Path]]]:
    folder = tmp_path_factory.mktemp("orthanc")
    slices = volume.write(volume.Study(slices=5, root="2.25.5"), folder / "ct")
    files = [*slices, *(corpus.file(name) for name, _ in AS_THEY_ARE.values())]
    modalities = {
        name: [TITLE, "127.0.0.1", target.port]
        for name, target in (("broad", broad), ("strict", strict))
    }
    with orthanc(folder / "pacs", [], files, DicomModalities=modalities) as running:
        yield running, files


def ask(peer: Peer, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{peer.web}{path}", data), timeout=60) as answer:
        return json.load(answer)


def test_orthanc_sends_a_study(broad: Box, pacs: tuple[Peer, list[Path]]) -> None:
    peer, files = pacs
    assert ask(peer, "/modalities/broad/echo", {}) == {}
    outcome = ask(peer, "/modalities/broad/store", ask(peer, "/studies"))
    assert isinstance(outcome, dict)
    assert (outcome["InstancesCount"], outcome["FailedInstancesCount"]) == (len(files), 0)
    for file in files:
        kept(broad, file)


def test_orthanc_transcodes_for_the_strict_profile(
    strict: Box, pacs: tuple[Peer, list[Path]]
) -> None:
    """What it can transcode; as Debian has it, that is everything but JPEG 2000."""
    peer, files = pacs
    assert ask(peer, "/modalities/strict/echo", {}) == {}
    instances = ask(peer, "/instances")
    assert isinstance(instances, list)
    refused = 0
    for instance in instances:
        try:
            ask(peer, "/modalities/strict/store", instance)
        except HTTPError:
            refused += 1
    beyond = {file for file in files if presentation(file)[1] in (JPEG + "90", JPEG + "91")}
    assert refused == len(beyond) == 2
    for file in set(files) - beyond:
        assert kept(strict, file).file_meta.TransferSyntaxUID == IMPLICIT


def test_nothing_is_left_half(broad: Box, strict: Box) -> None:
    for target in (broad, strict):
        assert {path.suffix for path in target.files} == {".dcm"}
        assert len(target.files) == target.held


@pytest.mark.parametrize("options", [(), ("--repeat", "5"), ("-ppc", "20"), ("--abort",)], ids=str)
def test_echoscu(broad: Box, options: Sequence[str]) -> None:
    run("echoscu", *options, *to(broad))


def test_echoscu_to_the_strict_profile(strict: Box) -> None:
    run("echoscu", *to(strict))
    run("echoscu", "-pts", "3", *to(strict))


@pytest.mark.parametrize(
    ("titles", "words"),
    [
        (("-aet", "SENDER", "-aec", "SOMEBODY"), "Called AE Title Not Recognized"),
        (("-aet", "STRANGER", "-aec", TITLE), "Calling AE Title Not Recognized"),
    ],
)
def test_echoscu_hears_why_it_is_rejected(broad: Box, titles: Sequence[str], words: str) -> None:
    said = run("echoscu", *titles, "127.0.0.1", broad.port, fails=True)
    assert "Rejected Permanent, Source: Service User" in said
    assert words in said


KEYS = ("-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=1", "-k", "StudyInstanceUID")


@pytest.mark.parametrize(
    "request_",
    [
        ("findscu", "-S", *KEYS),
        ("findscu", "-P", *KEYS),
        ("findscu", "-W", "-k", "PatientID"),
        ("movescu", "-S", "-aem", "SENDER", *KEYS),
        ("getscu", "-S", *KEYS),
    ],
    ids=lambda request_: " ".join(request_[:2]),
)
def test_services_that_are_not_offered(broad: Box, request_: Sequence[str], tmp_path: Path) -> None:
    name, *arguments = request_
    held = broad.held
    said = run(name, *arguments, *to(broad), fails=True)
    assert "Presentation Contexts" in said
    run("echoscu", *to(broad))
    assert broad.held == held


def test_termscu_terminates_nothing(broad: Box) -> None:
    """DCMTK's private way to shut down its own servers."""
    run("termscu", *to(broad), fails=True)
    run("echoscu", *to(broad))
