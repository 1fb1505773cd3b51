"""A box in QEMU: started, watched, given a stick, and cut off from its power."""

import base64
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.imaging.architecture import AMD64, Architecture
from tools.imaging.programs import need, need_file
from tools.imaging.qmp import MachineTimeout, Monitor
from tools.imaging.serial import Line, SerialPort

GIB = 1024**3

PAGE_PORT = 80
SECURE_PAGE_PORT = 443
DICOM_PORT = 104

_SHELL_UNIT = """\
[Unit]
Description=Root shell of a test, on the second serial port
DefaultDependencies=no
IgnoreOnIsolate=yes
[Service]
ExecStart=/bin/sh -c 'stty -echo -onlcr raw; exec /bin/sh 2>/dev/null'
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/{terminal}
TTYReset=yes
Restart=always
RestartSec=0
Environment=HOME=/root PATH=/usr/sbin:/usr/bin TERM=dumb
"""


class CommandFailed(Exception):
    """A command in the box's shell ended with another status than 0."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """The UEFI firmware of a processor's machines, and the Debian package that has it."""

    code: Path
    variables: Path
    package: str


_FIRMWARE = {
    "amd64": Firmware(
        Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd"), "ovmf"
    ),
    "arm64": Firmware(
        Path("/usr/share/AAVMF/AAVMF_CODE.fd"),
        Path("/usr/share/AAVMF/AAVMF_VARS.fd"),
        "qemu-efi-aarch64",
    ),
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine that a box is given."""

    architecture: Architecture = AMD64
    memory: int = 512
    """MiB."""
    processors: int = 2
    watchdog: str = "reset"
    """What the watchdog does when it is not fed: one of QEMU's actions."""
    shell: bool = True
    """Whether there is a root shell on the second serial port. The image is the same: systemd is
    told by the firmware's tables (SMBIOS type 11), which nobody writes on a real box."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Drop-ins for units of the box, by unit name: a test's shorter deadline, say."""
    ports: tuple[int, ...] = (PAGE_PORT, SECURE_PAGE_PORT, DICOM_PORT)
    """TCP ports of the box that are reached on this machine's loopback."""
    extra: tuple[str, ...] = ()
    """More arguments for QEMU."""
    disk: str | None = None
    """QEMU's `-drive` for the disk instead of the file alone; its id must be `disk`."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """Bytes that a box has read from a device, and written to it."""

    read: int
    written: int


def emulator(architecture: Architecture) -> str:
    """The program that is a machine of that architecture. Raises ProgramAbsent, also for UEFI."""
    firmware = _FIRMWARE[architecture.debian]
    need_file(firmware.code, firmware.package)
    package = "qemu-system-x86" if architecture is AMD64 else "qemu-system-arm"
    return need(f"qemu-system-{architecture.machine}", package)


def copy_disk(image: Path, disk: Path, size: int = 4 * GIB) -> Path:
    """Make the disk of one box from an image, larger than it, as a real one is."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(disk)], check=True)
    os.truncate(disk, max(size, image.stat().st_size))
    return disk


class Machine:
    """One box in QEMU, for a `with` block; what it leaves behind is in `folder`.

    The disk keeps what the box wrote. The firmware's variables are new at each start.
    """

    def __init__(self, disk: Path, folder: Path, hardware: Hardware | None = None) -> None:
        self.disk = disk
        self.folder = folder
        self.hardware = hardware or Hardware()
        self.ports = {port: _free_port() for port in self.hardware.ports}
        """For each port of the box, the one on this machine's loopback that leads to it."""
        self.plugged: set[str] = set()
        """The names of the sticks that are in it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._read_to = 0
        self._commands = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.power_cut()

    def start(self) -> None:
        """Switch it on. Raises ProgramAbsent if QEMU or its firmware is missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("monitor", "console", "shell"):
            (self.folder / name).unlink(missing_ok=True)
        command = self._command()
        self.started = time.monotonic()
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        self._read_to = 0
        self.plugged.clear()
        self.console = SerialPort(self.folder / "console", self.folder / "console.log")
        self._shell = SerialPort(self.folder / "shell", self.folder / "shell.log")
        self.monitor = Monitor(self.folder / "monitor")

    def power_cut(self) -> None:
        """Take its power. What it handed over to the disk is there, flushed or not."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        for connection in (self.console, self._shell, self.monitor):
            connection.close()

    @property
    def running(self) -> bool:
        """Whether it has power."""
        return self._process is not None and self._process.poll() is None

    def seconds(self, moment: float) -> float:
        """How long after the start a moment of `time.monotonic` was."""
        return round(moment - self.started, 2)

    def wait(self, pattern: str, within: float) -> tuple[Line, re.Match[str]]:
        """Wait for a line of the console behind the last one waited for."""
        line, found = self.console.wait(pattern, within, self._read_to)
        self._read_to = line.number + 1
        return line, found

    def catch_up(self) -> None:
        """Pass over what the console has said: `wait` waits for what comes from now on."""
        self._read_to = self.console.count

    def run(self, command: str, within: float = 300, *, check: bool = True) -> str:
        """Run a command in the root shell of the box and return what it printed.

        Raises CommandFailed if its status is not 0 and `check` is true, MachineTimeout if it does
        not end within so many seconds.
        """
        self._commands += 1
        token = f"@@{self._commands}.{os.getpid()}@@"
        first = self._shell.count
        # The lines end up in a shell that reads a terminal: a command of its own group, with
        # the token on a line of its own whatever was printed before.
        end_of_it = f"status=$?; echo; echo {token} $status"
        self._shell.send(f"{{ {command}\n}} 2>&1 </dev/null; {end_of_it}\n")
        end, found = self._shell.wait(re.escape(token) + r" (\d+)", within, first)
        output = "\n".join(line.text for line in self._shell.lines(first)[: end.number - first])
        if check and found[1] != "0":
            raise CommandFailed(f"{command!r} ended with {found[1]}: {output.strip()}")
        return output.strip("\n")

    def wait_for_shell(self, within: float = 300) -> None:
        """Wait until the box runs commands."""
        deadline = time.monotonic() + within
        while True:
            try:
                self.run("true", 5)
            except MachineTimeout:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def plug(
        self, image: Path, name: str = "stick", *, bytes_per_second: int | None = None
    ) -> None:
        """Plug in a USB stick whose content is the file `image`, perhaps a slow one."""
        content: dict[str, Any] = {
            "driver": "raw", "file": {"driver": "file", "filename": str(image)}
        }  # fmt: skip
        if bytes_per_second is not None:
            self._commands += 1
            group = f"slow{self._commands}"
            limits = {"bps-total": bytes_per_second}
            self.monitor.command("object-add", qom_type="throttle-group", id=group, limits=limits)
            content = {"driver": "throttle", "throttle-group": group, "file": content}
        self.monitor.command("blockdev-add", node_name=name, **content)
        self.monitor.command(
            "device_add", driver="usb-storage", id=name, drive=name, bus="usb.0", removable=True
        )
        self.plugged.add(name)

    def unplug(self, name: str = "stick") -> None:
        """Pull the stick, whatever the box is doing with it."""
        since = time.monotonic()
        self.monitor.command("device_del", id=name)
        self.monitor.event("DEVICE_DELETED", 20, since)
        self.monitor.command("blockdev-del", node_name=name)
        self.plugged.discard(name)

    def transferred(self, name: str = "stick") -> Transferred:
        """How much of a stick the box has read and written since it was plugged in."""
        for device in self.monitor.command("query-blockstats"):
            if f"/{name}/" in f"{device.get('qdev', '')}/":
                stats = device["stats"]
                return Transferred(stats["rd_bytes"], stats["wr_bytes"])
        raise MachineTimeout(f"no stick called {name} is plugged in")

    def processor_seconds(self) -> float:
        """Processor time of this QEMU so far: what compares on a machine that is shared."""
        if self._process is None:
            raise MachineTimeout("the machine has no power")
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _command(self) -> list[str]:
        hardware = self.hardware
        architecture = hardware.architecture
        is_pc = architecture is AMD64
        return [
            *(emulator(architecture), "-nodefaults", "-display", "none"),
            *("-accel", "tcg,thread=multi"),
            *("-machine", "q35,sata=off" if is_pc else "virt"),
            *("-cpu", "max" if is_pc else "cortex-a57"),
            *("-smp", str(hardware.processors), "-m", str(hardware.memory)),
            *self._firmware(_FIRMWARE[architecture.debian]),
            *("-drive", hardware.disk or self._plain_disk()),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
            *("-qmp", f"unix:{self.folder}/monitor,server=on,wait=off"),
            *self._serial_ports(is_pc=is_pc),
            *("-netdev", self._network(), "-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb"),
            # A PC has a keyboard: its LEDs stand for those of a box.
            *(() if is_pc else ("-device", "usb-kbd")),
            *("-device", "i6300esb", "-action", f"watchdog={hardware.watchdog}"),
            *self._told_by_firmware("ttyS1" if is_pc else "hvc0"),
            *hardware.extra,
        ]

    def _plain_disk(self) -> str:
        return f"if=none,id=disk,format=raw,discard=unmap,file={self.disk}"

    def _firmware(self, firmware: Firmware) -> list[str]:
        variables = self.folder / "variables.fd"
        shutil.copyfile(need_file(firmware.variables, firmware.package), variables)
        code = need_file(firmware.code, firmware.package)
        return [
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={variables}"),
        ]

    def _serial_ports(self, *, is_pc: bool) -> list[str]:
        second = ["-serial", "chardev:shell"]
        if not is_pc:
            second = ["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=shell"]
        return [
            *("-chardev", f"socket,id=console,path={self.folder}/console,server=on,wait=off"),
            *("-chardev", f"socket,id=shell,path={self.folder}/shell,server=on,wait=off"),
            *("-serial", "chardev:console", *second),
        ]

    def _network(self) -> str:
        forwarded = [f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items()]
        return ",".join(["user", "id=net", *forwarded])

    def _told_by_firmware(self, terminal: str) -> list[str]:
        """Credentials for systemd in the firmware's tables (systemd.system-credentials(7))."""
        told = {f"systemd.unit-dropin.{unit}": text for unit, text in self.hardware.units.items()}
        if self.hardware.shell:
            told["systemd.extra-unit.test-shell.service"] = _SHELL_UNIT.format(terminal=terminal)
            told["systemd.unit-dropin.sysinit.target"] = "[Unit]\nWants=test-shell.service\n"
        return [
            argument
            for name, text in told.items()
            for argument in (
                "-smbios",
                f"type=11,value=io.systemd.credential.binary:{name}="
                + base64.b64encode(text.encode()).decode(),
            )
        ]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
