"""The tables of the catalogue, as numbered migrations, and the way from any version to the last."""

import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources

from appliance.archive.records import CatalogueTooNew


def migrations() -> tuple[str, ...]:
    """The SQL text of each migration; the first one makes version 1."""
    folder = resources.files(__name__)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text(encoding="utf-8") for name in names)


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> int:
    """Brings the catalogue to the last version, one transaction for each step.

    Returns how many steps were taken. A catalogue of a later version is left as it is if that
    version says that ours can still work on it (an update was rolled back); otherwise
    `CatalogueTooNew` is raised.
    """
    check_version(connection, len(steps))
    found = version(connection)
    for number, step in enumerate(steps[found:], start=found + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(step):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return max(0, len(steps) - found)


def version(connection: sqlite3.Connection) -> int:
    """The version of the catalogue; 0 if there is none yet."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def check_version(connection: sqlite3.Connection, known: int) -> None:
    """Raises `CatalogueTooNew` if code that knows version `known` cannot work on the catalogue."""
    found = version(connection)
    if found <= known:
        return
    (oldest,) = connection.execute("SELECT oldest_able FROM release").fetchone()
    if oldest > known:
        raise CatalogueTooNew(
            f"the catalogue has schema version {found}, which needs a program that knows version "
            f"{oldest}; this one knows {known}. Install the newer version again"
        )


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
