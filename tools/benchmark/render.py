"""A CT to a JPEG: the processor time of each, beside a dcmj2pnm process."""

import resource
import subprocess
import sys
from pathlib import Path

from tools.benchmark.bench import Bench
from tools.benchmark.figures import Row, interleaved
from tools.hospital.peers import program

PEER_IMAGES = 20
"""How many dcmj2pnm processes make one value."""

_OURS = """\
import sys, time
from pathlib import Path
from appliance.images.encode import encode
from appliance.images.render import Renderer
target, files = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
renderer = Renderer()
for number, file in enumerate(files):
    if number == 1:
        began = time.process_time()  # the first pays for what is loaded once
    for picture in renderer.file(file):
        target.write_bytes(encode(picture.pixels, "jpeg", 90))
print(1000 * (time.process_time() - began) / (len(files) - 1))
"""


def measure(bench: Bench) -> list[Row]:
    """Milliseconds of processor time for one image, file to file."""
    files = bench.files()
    with bench.scratch("render") as folder:
        milliseconds = interleaved(
            bench.runs,
            {
                "the box": lambda: _box(folder, files),
                "dcmj2pnm": lambda: _dcmj2pnm(folder, files[:PEER_IMAGES]),
            },
            bench.say,
        )
    return [
        Row(
            "CT to JPEG, processor time of one core",
            "ms",
            milliseconds["the box"],
            "a dcmj2pnm process",
            milliseconds["dcmj2pnm"],
            more_is_better=False,
            at_most=2.5,
        )
    ]


def _box(folder: Path, files: list[Path]) -> float:
    command = [sys.executable, "-c", _OURS, str(folder / "picture.jpg"), *map(str, files)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _dcmj2pnm(folder: Path, files: list[Path]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for file in files:
        command = [program("dcmj2pnm"), "+oj", "+Wi", "1", "+Jq", "90", str(file)]
        subprocess.run([*command, str(folder / "peer.jpg")], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * used / len(files)
