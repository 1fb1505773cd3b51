"""C-FIND at STUDY level: requests a second, beside findscu on the same dcmqrscp."""

import subprocess
import time

from appliance.dicom.scu import Requestor
from appliance.settings.model import LocalAE, RemoteAE, Timeouts
from tools.benchmark.bench import CALLING, Bench
from tools.benchmark.figures import Row, interleaved
from tools.hospital.peers import ENVIRONMENT, Peer, PeerFailed, dcmqrscp, program

REQUESTS = 300
ASSOCIATIONS = 50


def measure(bench: Bench) -> list[Row]:
    """Requests a second on one association, and with an association for each as the box does."""
    files = bench.files()
    patient = bench.study.patient.identifier
    with bench.scratch("query") as folder, dcmqrscp(folder, [], files) as pacs:
        remote = RemoteAE(
            name="pacs", title=pacs.node.title, host=pacs.node.host, port=pacs.node.port
        )
        requestor = Requestor(LocalAE(title=CALLING, max_pdu=bench.pdu), Timeouts())
        rates = interleaved(
            bench.runs,
            {
                "the box, one association": lambda: _together(requestor, remote, patient),
                "findscu --repeat": lambda: _findscu(pacs, patient, REQUESTS, 1),
                "the box, an association each": lambda: _apart(requestor, remote, patient),
                "findscu, one each": lambda: _findscu(pacs, patient, 1, ASSOCIATIONS),
            },
            bench.say,
        )
    return [
        Row(
            f"{REQUESTS} C-FIND at STUDY level on one association",
            "requests/s",
            rates["the box, one association"],
            f"findscu --repeat {REQUESTS}",
            rates["findscu --repeat"],
            at_least=0.5,
        ),
        Row(
            "C-FIND with an association for each",
            "requests/s",
            rates["the box, an association each"],
            "a findscu process for each",
            rates["findscu, one each"],
        ),
    ]


def _together(requestor: Requestor, remote: RemoteAE, patient: str) -> float:
    began = time.monotonic()
    with requestor.finder(remote) as find:
        for _ in range(REQUESTS):
            _require_one(len(list(find("STUDY", {"PatientID": patient}))))
    return REQUESTS / (time.monotonic() - began)


def _apart(requestor: Requestor, remote: RemoteAE, patient: str) -> float:
    began = time.monotonic()
    for _ in range(ASSOCIATIONS):
        _require_one(len(list(requestor.find(remote, "STUDY", {"PatientID": patient}))))
    return ASSOCIATIONS / (time.monotonic() - began)


def _findscu(pacs: Peer, patient: str, repeat: int, processes: int) -> float:
    keys = ["QueryRetrieveLevel=STUDY", f"PatientID={patient}", "StudyDate", "StudyTime"]
    keys += ["AccessionNumber", "StudyInstanceUID"]
    command = [program("findscu"), "-S", "-q", "--repeat", str(repeat), "-aec", pacs.node.title]
    command += [part for key in keys for part in ("-k", key)]
    command += [pacs.node.host, str(pacs.node.port)]
    began = time.monotonic()
    for _ in range(processes):
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    return repeat * processes / (time.monotonic() - began)


def _require_one(matches: int) -> None:
    if matches != 1:
        raise PeerFailed(f"a C-FIND for one study has {matches} matches")
