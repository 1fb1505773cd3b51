"""The archive that the kernel unpacks as its first root (cpio, "newc" form; kernel documentation,
driver-api/early-userspace/buffer-format), the same bytes for the same content."""

import stat
from dataclasses import dataclass, field


@dataclass(slots=True)
class Archive:
    """A cpio archive in the making. All belongs to root and is as old as 1970."""

    _content: bytearray = field(default_factory=bytearray)
    _count: int = 0

    def folder(self, name: str) -> None:
        """Add a folder; those above it must be there already."""
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, content: bytes, *, executable: bool = False) -> None:
        """Add a file; its folder must be there already."""
        self._add(name, stat.S_IFREG | (0o755 if executable else 0o644), content)

    def finish(self) -> bytes:
        """The whole archive."""
        self._add("TRAILER!!!", 0, b"")
        return bytes(self._content)

    def _add(self, name: str, mode: int, content: bytes) -> None:
        self._count += 1
        encoded = name.encode() + b"\0"
        links, owner, time, device = 1, 0, 0, 0
        fields = (
            *(self._count, mode, owner, owner, links, time, len(content)),
            *(device, device, device, device, len(encoded), 0),
        )
        self._content += b"070701" + b"".join(b"%08X" % value for value in fields) + encoded
        self._pad()
        self._content += content
        self._pad()

    def _pad(self) -> None:
        self._content += bytes(-len(self._content) % 4)
