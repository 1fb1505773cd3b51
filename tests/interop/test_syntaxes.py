"""One study in many transfer syntaxes: what each profile gets of it, by move and by get."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from appliance.settings.model import Settings, Watch
from tests.interop.boxes import Box, box, settings
from tests.interop.hospitals import Hospital, complete, events, talkative
from tools.hospital import corpus, volume
from tools.hospital.peers import free_port, program
from tools.hospital.sender import presentation

IMPLICIT = "1.2.840.10008.1.2"

MIXED = volume.Study(slices=9, root="2.25.88")
MADE = (
    *(("dcmconv", "+ti"), ("dcmconv", "+te"), ("dcmconv", "+tb"), ("dcmcrle",)),
    *(("dcmcjpeg", "+e1"), ("dcmcjpeg", "+ee"), ("dcmcjpls",)),
)
"""What makes a slice of a CT one of another transfer syntax."""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Orthanc with one study in nine transfer syntaxes, the two of JPEG 2000 stored first.

    It sends a study in the order in which it came, and stops at the first instance that it can
    neither send as it is nor transcode; as Debian has it, it transcodes no JPEG 2000.
    """
    folder = tmp_path_factory.mktemp("mixed")
    slices = volume.write(MIXED, folder / "ct")
    files = []
    for slice_, name in zip(slices, ("RG3_J2KR.dcm", "RG3_J2KI.dcm"), strict=False):
        target, pixels = pydicom.dcmread(slice_), pydicom.dcmread(corpus.file(name))
        for keyword in ("Rows", "Columns", "BitsStored", "HighBit", "PixelData"):
            target[keyword] = pixels[keyword]
        target.PixelRepresentation = pixels.PixelRepresentation
        target.file_meta.TransferSyntaxUID = pixels.file_meta.TransferSyntaxUID
        files.append(folder / name)
        target.save_as(files[-1], implicit_vr=False, little_endian=True)
    for slice_, (tool, *options) in zip(slices[2:], MADE, strict=True):
        files.append(folder / f"{tool}{''.join(options)}.dcm")
        subprocess.run([program(tool), *options, slice_, files[-1]], check=True)
    assert len({presentation(file)[1] for file in files}) == 9
    port = free_port()
    with talkative("orthanc", folder / "pacs", port, files) as hospital:
        yield hospital


def syntaxes(running: Box) -> set[str]:
    kept = (pydicom.dcmread(file, stop_before_pixels=True) for file in running.files)
    return {str(dataset.file_meta.TransferSyntaxUID) for dataset in kept}


def wanting(mixed: Hospital, method: str, profile: str) -> Settings:
    watch = (Watch(MIXED.patient.identifier, "SUBJECT"),)
    remote = mixed.remote(retrieve=method)
    return settings(mixed.port, remote, ae={"profile": profile}, watch=watch)


@pytest.mark.parametrize("method", ["move", "get"])
def test_the_broad_profile_gets_every_syntax(mixed: Hospital, method: str, tmp_path: Path) -> None:
    with box(tmp_path, wanting(mixed, method, "broad")) as running:
        complete(running, 9)
        sent = {presentation(file)[1] for file in mixed.files}
        # On our association Orthanc sends what is not compressed in one of the syntaxes for that.
        plain = {IMPLICIT, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
        assert syntaxes(running) - plain == sent - plain
        assert method == "get" or syntaxes(running) == sent


@pytest.mark.parametrize("method", ["move", "get"])
def test_the_strict_profile_gets_what_can_be_implicit(
    mixed: Hospital, method: str, tmp_path: Path
) -> None:
    with box(tmp_path, wanting(mixed, method, "strict")) as running:
        status = running.service.catalogue.status
        running.until(lambda: status().instances == 7, "7 instances did not come")
        running.until(
            lambda: "did not send everything that it lists" in events(running), "nothing is said"
        )
        assert syntaxes(running) == {IMPLICIT}
        assert status().outstanding == 2
