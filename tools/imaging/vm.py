"""Runs the box in a virtual machine and shows its console, until Ctrl-C. See `--help`."""

import argparse
import contextlib
import sys
import time
from pathlib import Path

from tools.imaging.architecture import ARCHITECTURES, Architecture
from tools.imaging.build import build
from tools.imaging.cache import cache_from_environment
from tools.imaging.machine import DICOM_PORT, PAGE_PORT, Hardware, Machine, copy_disk
from tools.imaging.programs import ImageFailed
from tools.imaging.qmp import MachineRefused, MachineTimeout
from tools.imaging.stick import stick_from_folder

BUILD = Path(__file__).parents[2] / "build"

_EPILOGUE = """\
The box keeps what it was told and has received from one start to the next; --fresh begins with a
new one. Ctrl-C is a power cut, which it must survive.
"""


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/vm",
        description=__doc__,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stick", type=Path, metavar="DIR", help="plug in a stick made of DIR")
    parser.add_argument("--fresh", action="store_true", help="a new box, of a newly made image")
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="amd64")
    parser.add_argument("--memory", type=int, default=512, metavar="MIB")
    options = parser.parse_args()
    try:
        _run(ARCHITECTURES[options.arch], options.memory, options.stick, fresh=options.fresh)
    except (ImageFailed, MachineTimeout, MachineRefused) as problem:
        print(f"vm: {problem}", file=sys.stderr)
        return 1
    return 0


def _run(architecture: Architecture, memory: int, stick: Path | None, *, fresh: bool) -> None:
    folder = BUILD / f"vm-{architecture.debian}"
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / "disk.img"
    if fresh or not disk.exists():
        copy_disk(_image(architecture), disk)
    content = stick_from_folder(folder / "stick.img", stick) if stick else None
    hardware = Hardware(architecture=architecture, memory=memory)
    with Machine(disk, folder, hardware) as machine:
        print(f"vm: page    http://127.0.0.1:{machine.ports[PAGE_PORT]}/")
        print(f"vm: DICOM   127.0.0.1 port {machine.ports[DICOM_PORT]}, title HAPPY_netty")
        print(f"vm: console {folder / 'console.log'}; Ctrl-C takes the power")
        if content:
            machine.plug(content)
        with contextlib.suppress(KeyboardInterrupt):
            _show_console(machine)


def _image(architecture: Architecture) -> Path:
    folder = BUILD / f"image-{architecture.debian}"
    say = lambda text: print(f"vm: {text}", file=sys.stderr)  # noqa: E731
    return build(architecture, folder, cache_from_environment(), say).disk


def _show_console(machine: Machine) -> None:
    shown = 0
    while machine.running:
        for line in machine.console.lines(shown):
            print(line.text, flush=True)
            shown = line.number + 1
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
