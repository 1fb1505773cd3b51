"""Compares an archive that was recovered from a power cut with what was acknowledged before it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from appliance.archive.files import Folders, picture_name
from tests.fault.ledger import Due
from tests.fault.recorded_box import Kept, Recording, Stored

_ROWS = "SELECT instances.id, instances.uid, file, picture, instances.bytes FROM instances"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the catalogue, and the names of the pictures that it claims."""

    instance: str
    file: str
    picture: str
    bytes: int
    pictures: frozenset[str]


class Judge:
    """Knows what a box would have kept of everything that was sent, by UID and version."""

    def __init__(self, recording: Recording, kept: Kept) -> None:
        self._recording = recording
        self._kept: dict[str, dict[int, Stored]] = {}
        for (instance, version), stored in kept.items():
            self._kept.setdefault(instance, {})[version] = stored

    def wrong(self, data: Path, cut: int) -> Iterator[str]:
        """What is wrong with an archive that lost its power after `cut` entries of the log."""
        recording = self._recording
        every = recording.ledger.due(recording.log.issued, cut)
        if any(due.required for due in every.values()):
            key = data / "state/pseudonym.key"
            if not key.exists() or key.read_bytes() != recording.key:
                yield "the key is lost"
        with closing(sqlite3.connect(data / "catalogue.sqlite")) as catalogue:
            yield from _unsound(catalogue)
            rows = {row.instance: row for row in _rows(catalogue)}
        for uid in every.keys() | rows.keys():
            for flaw in _wrong_row(every.get(uid), rows.get(uid)):
                yield f"{flaw}: {uid}"
        yield from self._wrong_files(Folders(data), rows, every)

    def _wrong_files(
        self, folders: Folders, rows: Mapping[str, Row], every: Mapping[str, Due]
    ) -> Iterator[str]:
        for aside in (folders.quarantine, *folders.data.glob("*.unsound")):
            if aside.exists():
                yield f"set aside: {aside.name.partition('-')[0]}"
        files, pictures = _files(folders.dicom), _files(folders.images)
        for uid in every.keys() & rows.keys():
            row = rows[uid]
            mine = {name: content for name, content in pictures.items() if _is_of(name, uid)}
            for name in mine:
                del pictures[name]
            for flaw in self._wrong_content(row, every[uid], files.pop(f"{uid}.dcm", None), mine):
                yield f"{flaw}: {uid}"
        for name in (*files, *pictures):
            yield f"no row claims it: {name}"

    def _wrong_content(
        self, row: Row, due: Due, file: bytes | None, pictures: Mapping[str, bytes]
    ) -> Iterator[str]:
        kept = self._kept[row.instance]
        possible = [kept[version] for version in due.versions]
        if row.file == "held":
            possible = [stored for stored in possible if stored.file == file]
            if file is None:
                yield "its row says held, and there is no file"
            elif not possible:
                yield "its file is not what was sent"
            elif len(file) != row.bytes:
                yield "its file has not the size that its row says"
        elif file is not None:
            yield f"its row says {row.file}, and there is a file"
        possible_pictures: list[dict[str, bytes]]
        if row.file == "expired":
            possible_pictures = [{}]
        elif row.picture == "rendered":
            possible_pictures = [dict(stored.pictures) for stored in possible]
            if row.pictures != pictures.keys():
                yield f"it has {len(pictures)} pictures, and its row says {len(row.pictures)}"
        elif row.picture == "none":
            possible_pictures = [{}]
        else:  # Queued: what is there will be replaced, and was whole once.
            whole = {content for stored in kept.values() for content in stored.pictures.values()}
            possible_pictures = [dict(pictures)] if whole.issuperset(pictures.values()) else []
        if pictures not in possible_pictures:
            yield "its pictures are not those of what was sent"


def _unsound(catalogue: sqlite3.Connection) -> Iterator[str]:
    (verdict,) = catalogue.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        yield f"integrity_check: {verdict}"
    (double,) = catalogue.execute("SELECT count(*) - count(DISTINCT uid) FROM instances").fetchone()
    if double:
        yield f"{double} instances have two rows"
    totals = catalogue.execute("SELECT held, missing, queued FROM totals").fetchone()
    counted = catalogue.execute(
        "SELECT count(*) FILTER (WHERE file <> 'missing'),"
        " count(*) FILTER (WHERE file = 'missing'),"
        " count(*) FILTER (WHERE file = 'held' AND picture = 'queued') FROM instances"
    ).fetchone()
    if totals != counted:
        yield f"the totals {totals} are not those of the rows, {counted}"


def _rows(catalogue: sqlite3.Connection) -> Iterator[Row]:
    pictures: dict[int, list[tuple[int, str]]] = {}
    for key, frame, suffix in catalogue.execute("SELECT instance, frame, suffix FROM pictures"):
        pictures.setdefault(key, []).append((frame, suffix))
    for key, uid, file, picture, size in catalogue.execute(_ROWS):
        names = {
            picture_name(uid, frame or None, suffix) for frame, suffix in pictures.get(key, ())
        }
        yield Row(uid, file, picture, size, frozenset(names))


def _wrong_row(due: Due | None, row: Row | None) -> Iterator[str]:
    if due is None:
        yield "it has a row, and was not sent yet"
        return
    if row is None:
        if due.required:
            yield "it was acknowledged, and has no row"
        return
    allowed = {
        "held": not due.must_be_expired,
        "dropped": due.may_be_dropped and row.picture == "rendered",
        "expired": due.may_be_expired,
    }
    if not allowed.get(row.file, False):
        said = "it was acknowledged" if due.required else "it was not acknowledged"
        removed = ", and removed by quota" if due.must_be_expired else ""
        yield f"{said}{removed}, and its row says {row.file}"
    if row.picture == "failed":
        yield "it could not be rendered"


def _is_of(picture: str, uid: str) -> bool:
    """Whether a picture is the only one of an instance, or one of its frames."""
    stem = picture.rpartition(".")[0]
    return uid in (stem, stem[:-5])


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
