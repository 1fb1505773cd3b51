"""The console: how the box is, where its page is, and the fingerprint to compare there."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.health.verdict import Verdict
from appliance.settings.chains import fingerprint

_SIOCGIFADDR: Final = 0x8915
"""Asks for the IPv4 address of an interface (netdevice(7))."""
_CLEAR: Final = "\x1b[H\x1b[2J"

WORDS: Final = {
    "writing": "WRITING, leave it switched on",
    "fault": "FAULT",
    "rejected": "STICK REJECTED",
    "accepted": "STICK ACCEPTED, remove it",
    "degraded": "WORKING, WITH A REMARK",
    "unprovisioned": "NO SETTINGS YET",
    "starting": "STARTING",
    "working": "WORKING",
    "unknown": "UNKNOWN",
}


def addresses() -> tuple[str, ...]:
    """The IPv4 addresses of this machine, but for those that only it can reach."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):  # It has none.
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
                found.append(socket.inet_ntoa(answer[20:24]))
    return tuple(one for one in found if not one.startswith("127."))


def fingerprint_of(certificate: Path) -> str:
    """The fingerprint of a certificate's file, as browsers show it; empty if there is none."""
    with suppress(OSError):
        return fingerprint(certificate.read_text("utf-8", "replace"))
    return ""


def banner(verdict: Verdict) -> str:
    """What the console shows. In English: the kernel's console has no Japanese letters."""
    name = f"{verdict.service.box}  " if verdict.service and verdict.service.box else ""
    lines = [f"{name}netty box {verdict.version}", "", f"  {WORDS[verdict.name]}", ""]
    for problem in verdict.problems:
        detail = f" ({problem.detail})" if problem.detail else ""
        lines += [f"  - {problem.what.en}{detail}", f"    {problem.who.en}"]
    lines += [f"  page  http://{address}/" for address in verdict.addresses]
    if not verdict.addresses:
        lines.append("  page  no network address yet: is the cable plugged?")
    if verdict.fingerprint:
        lines.append(f"  certificate (SHA-256)  {verdict.fingerprint}")
    return "\n".join(_printable(line) for line in lines) + "\n"


def show(text: str, consoles: Iterable[str]) -> None:
    """Write on each console; one that is not there, or does not listen, is left alone."""
    for console in consoles:
        with suppress(OSError):
            # A serial line that nobody reads must not hold up the LED.
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(console, flags)
            try:
                os.write(descriptor, (_CLEAR + text.replace("\n", "\r\n")).encode())
            finally:
                os.close(descriptor)


def _printable(line: str) -> str:
    """A remote's or a stick's words must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)
