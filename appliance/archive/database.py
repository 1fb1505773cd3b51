"""What both databases of the archive have in common."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

BUSY: Final = 10.0
"""Seconds to wait for another process's lock."""

_UNSOUND: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def create_private(path: Path, mode: int) -> None:
    """Creates an empty database that others than owner and group cannot read, if there is none.

    SQLite would let everyone read it; it gives its journals the mode that the database has.
    """
    with suppress(OSError):  # SQLite says better what is wrong.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode))


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None for an error that the Python module found by itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def says_unsound(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is damaged, or no database at all."""
    return primary_code(error) in _UNSOUND


def flaw(connection: sqlite3.Connection) -> str:
    """The first flaw that a check of the whole file finds; empty if it is sound."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return "" if verdict == "ok" else str(verdict)
