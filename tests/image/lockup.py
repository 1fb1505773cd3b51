"""Locks up the whole kernel of a machine, as broken hardware or a bug with interrupts off does."""

import re
import socket
from pathlib import Path

from tools.imaging.machine import Machine
from tools.imaging.qmp import connect

_RIP, _EFLAGS = 0x10, 0x11
"""Numbers of the registers in GDB's description of x86-64."""
_INTERRUPTS = 0x200
_JUMP_HERE = "ebfe"
_PACKET = re.compile(rb"\$([^#]*)#[0-9a-f]{2}", re.DOTALL)
_STOPPED = ("T", "S")
"""How a packet begins that tells that the machine stands still."""


def lock_up(machine: Machine) -> None:
    """Let every processor of an x86-64 machine go in a circle of one instruction, uninterrupted.

    Nothing in the machine can end that; what is outside the processors goes on.
    """
    path = machine.folder / "debugger"
    command = f"gdbserver unix:{path},server=on,wait=off"
    machine.monitor.command("human-monitor-command", command_line=command)
    with _Debugger(path) as debugger:  # The machine stands still while it is connected.
        for number in range(1, machine.hardware.processors + 1):
            debugger.ask(f"Hg{number}")
            address = debugger.register(_RIP, 8)
            debugger.do(f"M{address:x},2:{_JUMP_HERE}")
            flags = debugger.register(_EFLAGS, 4) & ~_INTERRUPTS
            debugger.do(f"P{_EFLAGS:x}={flags.to_bytes(4, 'little').hex()}")
        debugger.do("D")


class _Debugger:
    """GDB's remote protocol, as much of it as is needed here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "_Debugger":
        self._socket: socket.socket = connect(self._path, 20)
        self._socket.settimeout(20)
        self._unread = b""
        self.ask("?")
        # QEMU tells single registers only to who has asked for their description.
        self.ask("qXfer:features:read:target.xml:0,ff0")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, packet: str) -> str:
        """Send a packet and return the answer."""
        checksum = sum(packet.encode()) % 256
        self._socket.sendall(f"${packet}#{checksum:02x}".encode())
        while (answer := self._packet()).startswith(_STOPPED) and packet != "?":
            pass  # That the machine stands still is told of its own accord, too.
        return answer

    def _packet(self) -> str:
        """The next packet that QEMU sends."""
        while (found := _PACKET.search(self._unread)) is None:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("QEMU ended the debugger's connection")
            self._unread += received
        self._unread = self._unread[found.end() :]
        self._socket.sendall(b"+")
        return found[1].decode()

    def do(self, packet: str) -> None:
        """Send a packet that is answered by OK. Raises RuntimeError if it is not."""
        if (answer := self.ask(packet)) != "OK":
            raise RuntimeError(f"QEMU's debugger answers {answer!r} to {packet!r}")

    def register(self, number: int, size: int) -> int:
        """The value of a register of so many bytes."""
        content = bytes.fromhex(self.ask(f"p{number:x}"))
        if len(content) < size:
            raise RuntimeError(f"QEMU's debugger does not tell register {number}")
        return int.from_bytes(content[:size], "little")
