"""A bundle that a browser sends: a field of a form, written to the disk as it comes.

Without a script a browser sends a file as multipart/form-data alone (RFC 7578). What comes before
the file says who sends it; without that, nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST: Final = 512 * 2**20
"""Bytes of a form with a bundle in it; what a slot holds is less."""
KEPT_FREE: Final = 256 * 2**20
"""Bytes that a bundle leaves on the disk for the images that arrive meanwhile."""
BUNDLE: Final = "page.raucb"
"""The name of a bundle that has arrived; how its sender calls it does not matter."""

_FILE: Final = "bundle"
"""The field of the file."""
_SQUASHFS: Final = b"hsqs"
"""What every bundle begins with (squashfs, kernel documentation, 4.1)."""
_LONGEST_FIELD: Final = 1000
_MOST_FIELDS: Final = 10
_PART: Final = ".part"


class NotTaken(Exception):
    """A file that is not taken; `word` is the name of the sentence that says why."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass(slots=True)
class Uploads:
    """Takes one bundle at a time into `folder`."""

    folder: Path
    largest: int = LARGEST
    kept_free: int = KEPT_FREE
    _busy: bool = False

    def clear(self) -> None:
        """Remove what was sent before. Never raises: it is tried again with the next bundle."""
        with suppress(OSError):
            for file in self.folder.iterdir():
                file.unlink()

    async def take(self, request: Request, is_token: Callable[[str], bool]) -> Mapping[str, str]:
        """Take a bundle; return the other fields. It is then there as `BUNDLE`.

        `is_token` knows the token of our own forms. Raises NotTaken, or HTTPException.
        """
        boundary, size = _multipart(request)
        if size > self.largest:
            raise NotTaken("update_too_large")
        if self._busy:
            raise NotTaken("update_busy")
        self._busy = True
        try:
            await anyio.to_thread.run_sync(self._make_room, size)
            form = _Form(boundary, self.folder / (BUNDLE + _PART), is_token)
            try:
                await self._receive(request, form)
                await anyio.to_thread.run_sync(form.finish, self.folder / BUNDLE)
            finally:
                form.close()
            return form.fields
        finally:
            self._busy = False

    def _make_room(self, size: int) -> None:
        self.clear()
        try:
            there = os.statvfs(self.folder)
        except OSError:
            raise NotTaken("update_not_kept") from None
        if there.f_bavail * there.f_frsize < size + self.kept_free:
            raise NotTaken("update_no_room")

    async def _receive(self, request: Request, form: _Form) -> None:
        """Feed the form; what is sent after a mistake is let pass, so that its sender is told."""
        wait_anew = getattr(request.state, "wait_anew", lambda: None)
        refused: NotTaken | None = None
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received > self.largest:
                raise HTTPException(413)
            if refused is None:
                try:
                    await anyio.to_thread.run_sync(form.feed, chunk)
                except NotTaken as not_taken:
                    refused = not_taken
            if form.is_ours:
                wait_anew()
        if refused is not None:
            raise refused


def _multipart(request: Request) -> tuple[bytes, int]:
    """The boundary of a form, and how long it is. Raises HTTPException."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
        raise HTTPException(415)
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        raise HTTPException(411)
    return boundary, int(length[:20])


@dataclass(slots=True)
class _Form:
    """The parts of a form, as they come."""

    boundary: bytes
    part: Path
    is_token: Callable[[str], bool]
    fields: dict[str, str] = field(default_factory=dict)
    is_ours: bool = False
    """Whether the token was right."""
    _parser: Any = None
    _header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _name: str = ""
    _value: bytearray = field(default_factory=bytearray)
    _file: BinaryIO | None = None
    _head: bytes = b""
    _ended: bool = False

    def __post_init__(self) -> None:
        self._parser = MultipartParser(
            self.boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, a, b: self._header[0].extend(data[a:b]),
                "on_header_value": lambda data, a, b: self._header[1].extend(data[a:b]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises NotTaken, or HTTPException."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise HTTPException(400) from None
        except OSError:
            raise NotTaken("update_not_kept") from None

    def finish(self, final: Path) -> None:
        """Give the file its name, once all of it has come. Raises NotTaken, or HTTPException."""
        if not self.is_ours:
            raise HTTPException(403)
        if not self._ended or self._file is None:
            raise HTTPException(400)
        if self._head != _SQUASHFS:
            raise NotTaken("update_no_bundle")
        try:
            self._file.close()
            self.part.rename(final)
        except OSError:
            raise NotTaken("update_not_kept") from None

    def close(self) -> None:
        """Leave nothing behind of a file that did not get its name."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self.part.unlink(missing_ok=True)

    def _begin_part(self) -> None:
        self._name, self._value = "", bytearray()
        if len(self.fields) >= _MOST_FIELDS:
            raise HTTPException(400)

    def _end_header(self) -> None:
        name, value = map(bytes, self._header)
        self._header = (bytearray(), bytearray())
        if name.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            self._name = options.get(b"name", b"").decode("ascii", "replace")

    def _end_headers(self) -> None:
        if self._name != _FILE:
            return
        if self._file is not None:
            raise HTTPException(400)
        self.is_ours = self.is_token(self.fields.get("token", ""))
        if not self.is_ours:
            raise HTTPException(403)
        self._file = self.part.open("xb")
        # Nothing in it is secret, and RAUC is no owner of it.
        os.fchmod(self._file.fileno(), 0o644)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._file is None or self._name != _FILE:
            self._value += data[start:end]
            if len(self._value) > _LONGEST_FIELD:
                raise HTTPException(413)
            return
        self._file.write(memoryview(data)[start:end])
        if len(self._head) < len(_SQUASHFS):
            self._head += data[start:end][: len(_SQUASHFS) - len(self._head)]
            if not _SQUASHFS.startswith(self._head):
                raise NotTaken("update_no_bundle")

    def _end_part(self) -> None:
        if self._name != _FILE:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True
