"""The tables of each database, as numbered migrations, and the way from any version to the last.

A migration is a file NNNN.sql in the folder of its database; each statement ends where a line does.
It brings version NNNN-1 to NNNN in one transaction, and sets `release.oldest_able` to the oldest
version whose code still works on the result: an update of the box may be rolled back, so prefer new
tables, and columns with defaults.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Literal


class SchemaTooNew(Exception):
    """The database was written by a later version, and says that this one cannot work on it."""


def migrations(database: Literal["catalogue", "requests"]) -> tuple[str, ...]:
    """The SQL text of each migration; the first one makes version 1."""
    folder = resources.files(__name__) / database
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(file.read_text(encoding="utf-8") for file in files if file.name.endswith(".sql"))


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> bool:
    """Brings a database to the last version, one transaction for each step; whether it had to.

    Several processes may do so at the same time. A database of a later version is left as it is if
    that version says that ours can still work on it; otherwise `SchemaTooNew` is raised.
    """
    check_version(connection, steps)
    found = version(connection)
    while version(connection) < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection, steps)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return found < len(steps)


def version(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 if it is empty."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def check_version(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Raises `SchemaTooNew` if code that knows these migrations cannot work on a database."""
    found, known = version(connection), len(steps)
    if found <= known:
        return
    (oldest,) = connection.execute("SELECT oldest_able FROM release").fetchone()
    if oldest > known:
        raise SchemaTooNew(
            f"its schema is of version {found} and needs a program that knows version {oldest}, "
            f"but this one knows {known}: install the newer program again"
        )


def _step(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    found = version(connection)  # Another process may have been faster.
    if found < len(steps):
        for statement in _statements(steps[found]):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {found + 1}")


def _statements(script: str) -> Iterator[str]:
    # executescript would commit the transaction that makes a migration whole.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"unfinished SQL statement: {statement.strip()[:80]!r}")
