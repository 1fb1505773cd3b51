"""The serial number of the box, by which a file may name the boxes it is for."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

DMI = "sys/class/dmi/id/product_serial"
DEVICE_TREE = "proc/device-tree/serial-number"
MACHINE_ID = "etc/machine-id"

UNKNOWN = "unknown"
"""The serial of a machine that has none of these."""

_PLACEHOLDERS = re.compile(
    r"|none|not (specified|applicable|available)|n/?a|unknown|invalid|to be filled.*|default.*"
    r"|system serial number|serial|chassis.*|o\.?e\.?m\.?|\W*|(.)\2*|0?123456789a?b?c?d?e?f?",
    re.IGNORECASE,
)


def serial_number(root: Path = Path("/")) -> str:
    """Return the maker's serial number; where there is none, one made from the machine-id.

    Never empty, and always fit for a file name on every file system.
    """
    for source in (DMI, DEVICE_TREE):
        text = _text(root / source)
        serial = _plain(text)
        if serial and not _PLACEHOLDERS.fullmatch(text):
            return serial
    machine = _text(root / MACHINE_ID)
    if not re.fullmatch(r"[0-9a-f]{32}", machine):
        return UNKNOWN
    # The machine-id itself is confidential (machine-id(5)): only a hash of it leaves the box.
    digest = hmac.new(bytes.fromhex(machine), b"netty serial", hashlib.sha256).hexdigest()
    return f"N{digest[:11].upper()}"


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:256].decode("ascii", "replace").strip(" \t\r\n\0")
    except OSError:
        return ""


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:64]
