"""De-identification of CT headers: how many a second of one core's processor time."""

import subprocess
import sys
from pathlib import Path

from tools.benchmark.bench import Bench
from tools.benchmark.figures import Row, interleaved
from tools.hospital import corpus

HEADERS = 2000
"""De-identified for one value."""

_OURS = """\
import sys, time
from pathlib import Path
from appliance.images.deidentify import Deidentifier, Recipients, encoding_of
from appliance.images.deidentify.part10 import read_dataset_of
data, syntax = read_dataset_of(Path(sys.argv[1]).read_bytes())
recipients = Recipients([Path(sys.argv[3]).read_text()]) if sys.argv[3] else None
box = Deidentifier("basic", bytes(32), options=sys.argv[4:], recipients=recipients)
for number in range(int(sys.argv[2]) + 50):
    if number == 50:
        began = time.process_time()  # the first pay for what is remembered
    box.header(data, encoding_of(syntax), complete=True)
print(int(sys.argv[2]) / (time.process_time() - began))
"""

OPTIONS = (
    *("retain_safe_private", "retain_patient_characteristics", "retain_device_identity"),
    *("retain_long_modified_dates", "clean_descriptors", "clean_structured_content"),
    "clean_graphics",
)


def measure(bench: Bench) -> list[Row]:
    """Headers a second, without options and with those that cost, and sealed for a recipient."""
    source = corpus.file("CT_small.dcm")
    with bench.scratch("deidentify") as folder:
        certificate = _certificate(folder)
        headers = interleaved(
            bench.runs,
            {
                "basic": lambda: _headers(source, ""),
                "options": lambda: _headers(source, "", *OPTIONS),
                "sealed": lambda: _headers(source, certificate),
            },
            bench.say,
        )
    what = "CT headers de-identified, processor time of one core"
    return [
        Row(what, "headers/s", headers["basic"], at_least=700),
        Row(f"{what}: with seven options", "headers/s", headers["options"]),
        Row(f"{what}: sealed for a recipient", "headers/s", headers["sealed"]),
    ]


def _headers(source: Path, certificate: str, *options: str) -> float:
    command = [sys.executable, "-c", _OURS, str(source), str(HEADERS), certificate, *options]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _certificate(folder: Path) -> str:
    path = folder / "one.crt"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=one"]
    make += ["-keyout", str(folder / "one.key"), "-out", str(path)]
    subprocess.run(make, capture_output=True, check=True)
    return str(path)
