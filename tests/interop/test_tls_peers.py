"""TLS with DCMTK and Orthanc: who shows the right certificate is served, in both directions."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from appliance.settings.model import TLS, RemoteAE, Watch
from tests.interop.boxes import SENDER, TITLE, Box, box, settings
from tests.unit.dicom.certificates import Identity, authority, signed
from tools.hospital import volume
from tools.hospital.peers import ENVIRONMENT, free_port, orthanc, program

CT = volume.Study(slices=3, root="2.25.33")


@dataclass(frozen=True)
class Trust:
    """An authority, what it signed for box and PACS, and a stranger's."""

    authority: Path
    box: Identity
    pacs: tuple[Path, Path]
    stranger: tuple[Path, Path]

    def tls(self, port: int) -> TLS:
        return TLS(self.box.certificate, self.box.key, self.authority.read_text(), port)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder = tmp_path_factory.mktemp("trust")
    ours, foreign = authority(folder, "ours"), authority(folder, "foreign")
    return Trust(
        ours.files(folder / "authority")[0],
        signed(folder, "box", ours),
        signed(folder, "pacs", ours).files(folder / "pacs"),
        signed(folder, "stranger", foreign).files(folder / "stranger"),
    )


@pytest.fixture(scope="module")
def running(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    wanted = settings(free_port(), SENDER, ae={"unsolicited": "store"}, tls=trust.tls(free_port()))
    with box(tmp_path_factory.mktemp("box"), wanted) as running:
        yield running


def run(name: str, running: Box, trust: Trust, identity: tuple[Path, Path], *rest: Path) -> int:
    certificate, key = identity
    assert running.settings.tls is not None
    command = [
        *(program(name), "+tls", str(key), str(certificate), "+cf", str(trust.authority)),
        *("-aet", "SENDER", "-aec", TITLE, "127.0.0.1", str(running.settings.tls.port)),
        *map(str, rest),
    ]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60).returncode


def test_dcmtk_with_our_authoritys_certificate(running: Box, trust: Trust, tmp_path: Path) -> None:
    files = volume.write(CT, tmp_path)
    assert run("echoscu", running, trust, trust.pacs) == 0
    assert run("storescu", running, trust, trust.pacs, *files) == 0
    for file in files:
        original = pydicom.dcmread(file)
        assert running.dataset(original.SOPInstanceUID).PixelData == original.PixelData


def test_dcmtk_with_a_strangers_certificate(running: Box, trust: Trust) -> None:
    assert run("echoscu", running, trust, trust.stranger) != 0
    assert run("echoscu", running, trust, trust.pacs) == 0


def test_dcmtk_without_tls_on_the_port_for_tls(running: Box) -> None:
    assert running.settings.tls is not None
    titles = ("-aet", "SENDER", "-aec", TITLE)
    for port, expected in ((running.port, True), (running.settings.tls.port, False)):
        command = [program("echoscu"), "-to", "5", *titles, "127.0.0.1", str(port)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert (done.returncode == 0) == expected


def test_retrieval_from_orthanc_over_tls(trust: Trust, tmp_path: Path) -> None:
    """Query and C-MOVE on an association that we open, C-STOREs on one that Orthanc opens."""
    certificate, key = trust.pacs
    port, secure = free_port(), free_port()
    files = volume.write(CT, tmp_path / "ct")
    with orthanc(tmp_path / "filled", [], files):
        pass  # filled without TLS, which the one who fills does not speak
    peer = orthanc(
        tmp_path / "filled",
        [],
        files,
        DicomTlsEnabled=True,
        DicomTlsCertificate=str(certificate),
        DicomTlsPrivateKey=str(key),
        DicomTlsTrustedCertificates=str(trust.authority),
        DicomTlsRemoteCertificateRequired=True,
        DicomModalities={
            "box": {"AET": TITLE, "Host": "127.0.0.1", "Port": secure, "UseDicomTls": True}
        },
    )
    with peer as pacs:
        remote = RemoteAE(
            "pacs", pacs.node.title, "127.0.0.1", pacs.node.port, retrieve="move", tls=True
        )
        watch = (Watch(CT.patient.identifier, "SUBJECT"),)
        wanted = settings(port, remote, tls=trust.tls(secure), watch=watch)
        with box(tmp_path / "box", wanted) as running:
            running.until(lambda: running.held == 3, "the instances did not come")
