"""Migrations: from nothing, from version 1, from a version of the future, by several at once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.archive import schema
from appliance.archive.catalogue import Catalogue, CatalogueFailed, CatalogueTooNew
from appliance.archive.files import Folders
from tests.unit.archive.material import STUDY, instance

NEXT = """
-- A harmless change; and a trigger, whose semicolons are not ends of statements.
ALTER TABLE studies ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;
CREATE TABLE stars (study INTEGER) STRICT;
CREATE TRIGGER starred AFTER UPDATE OF starred ON studies BEGIN
  INSERT INTO stars VALUES (NEW.id);
  DELETE FROM stars WHERE study IS NULL;
END;
"""
KNOWN = len(schema.migrations("catalogue"))
BREAKING = f"ALTER TABLE studies RENAME TO cases;\nUPDATE release SET oldest_able = {KNOWN + 2};\n"


def future(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """Lets the program know more versions than it does."""
    steps = (*schema.migrations("catalogue"), *more)
    monkeypatch.setattr(schema, "migrations", lambda _: steps)


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return schema.version(connection)
    finally:
        connection.close()


def test_a_new_catalogue_is_of_the_last_version(catalogue: Catalogue, folders: Folders) -> None:
    assert version(folders.catalogue) == len(schema.migrations("catalogue")) >= 1


def test_a_catalogue_of_version_1_is_migrated_with_its_rows(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sqlite3.connect(folders.catalogue, isolation_level=None)
    schema.migrate(connection, schema.migrations("catalogue")[:1])
    connection.execute("INSERT INTO studies (uid) VALUES ('2.25.77')")
    connection.close()
    assert version(folders.catalogue) == 1
    with monkeypatch.context() as patch:
        future(patch, NEXT)
        catalogue = Catalogue.open(folders.catalogue)
        catalogue.store(instance(1), ())
        catalogue.write(lambda c: c.execute("UPDATE studies SET starred = 1 WHERE held = 1"))
        catalogue.close()
    assert version(folders.catalogue) == len(schema.migrations("catalogue")) + 1
    connection = sqlite3.connect(folders.catalogue)
    assert connection.execute("SELECT uid FROM studies ORDER BY id").fetchall() == [
        ("2.25.77",),
        (STUDY,),
    ]
    assert connection.execute("SELECT count(*) FROM stars").fetchone() == (1,)
    connection.close()


def test_a_rolled_back_update_finds_its_catalogue_usable(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        future(patch, NEXT)
        newer = Catalogue.open(folders.catalogue)
        newer.store(instance(1), ())
        newer.close()
    older = Catalogue.open(folders.catalogue)
    older.store(instance(2), ())
    assert len(older.held(STUDY)) == 2
    older.close()
    assert Catalogue.open_read_only(folders.catalogue).status().instances == 2
    assert version(folders.catalogue) == len(schema.migrations("catalogue")) + 1


def test_a_version_that_cannot_be_understood_is_refused_and_left_alone(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        future(patch, NEXT, BREAKING)
        connection = sqlite3.connect(folders.catalogue, isolation_level=None)
        schema.migrate(connection, schema.migrations("catalogue"))
        connection.close()
    before = folders.catalogue.read_bytes()
    for opening in (Catalogue.open, Catalogue.open_read_only):
        said = rf"of version {KNOWN + 2} .* knows {KNOWN}: install the newer"
        with pytest.raises(CatalogueTooNew, match=said):
            opening(folders.catalogue)
    assert folders.catalogue.read_bytes()[100:] == before[100:]


def test_a_migration_that_fails_changes_nothing(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue.open(folders.catalogue).close()
    with monkeypatch.context() as patch:
        future(patch, NEXT + "INSERT INTO nowhere VALUES (1);\n")
        with pytest.raises(CatalogueFailed, match="nowhere"):
            Catalogue.open(folders.catalogue)
    connection = sqlite3.connect(folders.catalogue)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "stars" not in tables
    Catalogue.open(folders.catalogue).close()


def test_a_migration_that_ends_in_the_middle_of_a_statement_is_an_error(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x", isolation_level=None)
    with pytest.raises(ValueError, match="unfinished"):
        schema.migrate(connection, ["CREATE TABLE a (b);\nCREATE TABLE c (d)"])
    assert schema.version(connection) == 0
    connection.close()


def test_several_may_migrate_at_the_same_time(tmp_path: Path) -> None:
    def migrate(_: int) -> bool:
        connection = sqlite3.connect(tmp_path / "x", isolation_level=None, timeout=10)
        try:
            schema.migrate(connection, schema.migrations("requests"))
            return schema.version(connection) == len(schema.migrations("requests"))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(migrate, range(12)))
