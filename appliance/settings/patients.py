"""patients.csv, a watch list beside netty.toml, becomes entries of the settings.

Comma-separated values as spreadsheets write them (RFC 4180) in UTF-8, with or without a byte-order
mark and CRLF. The first line names the columns, in any order; each further line is an entry as
under [[watch]]. Only patient_id is required; an empty cell is an absent key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path as FilePath
from typing import Any

from appliance.settings.kinds import Date, Kind, Mistake, did_you_mean, halfwidth
from appliance.settings.model import Settings, Watch, keys_of
from appliance.settings.positions import Lines
from appliance.settings.problems import Problem, Problems
from appliance.settings.reader import read_bytes, read_file
from appliance.settings.source import Form, decoded, text_of

NAME = "patients.csv"

LARGEST = 1024 * 1024
"""The largest patients.csv that is read, in bytes: some twenty thousand patients."""

COLUMNS = ("patient_id", "pseudonym", "accession", "since")

_SAVE = 'save it as "CSV UTF-8 (comma delimited)" in the spreadsheet program'

CSV = Form(
    name=NAME,
    content="a list of patients",
    format="comma-separated text in UTF-8",
    largest=LARGEST,
    save=_SAVE,
    reopen=f"open it in a spreadsheet program, and {_SAVE}",
    restart="write the names of the columns into the first line: " + ",".join(COLUMNS),
    shrink="remove the patients who are not needed",
)

_CELL = re.compile(r'[ \t]*"(?P<quoted>(?:[^"]|"")*+)"[ \t]*(?=[,\n]|\Z)|(?P<plain>[^,\n]*)')
_KINDS: Mapping[str, Kind[Any]] = {
    key: setting.kind
    for key, _, setting in keys_of(Watch)
    if key in COLUMNS and isinstance(setting.kind, Kind)
}


def read_files(settings: FilePath, patients: FilePath | None) -> Settings:
    """Return the settings of a netty.toml and of the patients.csv that may belong to it.

    Raises Problems with the mistakes of both.
    """
    if patients is None:
        return read_file(settings)
    return _both(lambda: read_file(settings), lambda: text_of(patients, CSV))


def read_contents(settings: bytes, patients: bytes | None) -> Settings:
    """Return what `read_files` does, for the contents of the files."""
    if patients is None:
        return read_bytes(settings)
    return _both(lambda: read_bytes(settings), lambda: decoded(patients, CSV))


def _both(settings: Callable[[], Settings], patients: Callable[[], str]) -> Settings:
    found: list[Problem] = []
    joined = Settings(1)
    try:
        joined = settings()
    except Problems as problems:
        found.extend(problems.problems)
    try:
        joined = _joined(joined, patients())
    except Problems as problems:
        found.extend(problems.problems)
    if found:
        raise Problems(found)
    return joined


def _joined(settings: Settings, text: str) -> Settings:
    """Return `settings` that watch the patients of a list, too; the same entry is one entry."""
    plain = re.sub(r"\r+\n|\r", "\n", text.removeprefix("\ufeff"))
    reader = _Reader(plain, settings.watch)
    entries = reader.entries()
    if reader.problems:
        raise Problems(reader.problems)
    return replace(settings, watch=tuple(dict.fromkeys((*settings.watch, *entries))))


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    offset: int


class _Reader:
    """Reads one list; what is not right becomes a problem."""

    def __init__(self, text: str, known: Sequence[Watch]) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._lines = Lines(text)
        self._pseudonyms = {
            each.patient_id: (each.pseudonym, "in netty.toml") for each in known if each.pseudonym
        }

    def entries(self) -> list[Watch]:
        """Return the entries of all lines that are right."""
        rows = self._rows()
        columns = self._columns(next(rows, []))
        if not columns:
            return []
        found = (self._entry(columns, row) for row in rows if any(cell.text for cell in row))
        return [entry for entry in found if entry is not None]

    def _rows(self) -> Iterator[list[_Cell]]:
        """Yield the cells of each line; a quoted cell may run over several."""
        row: list[_Cell] = []
        at, end = 0, len(self._text)
        while at <= end:
            match = _CELL.match(self._text, at)
            assert match is not None, "a plain cell may be empty"
            quoted_text = match["quoted"]
            if quoted_text is None and match["plain"].lstrip().startswith('"'):
                self._quote(at)
                return
            text = match["plain"] if quoted_text is None else quoted_text.replace('""', '"')
            row.append(_Cell(text, at))
            at = match.end()
            if not self._text.startswith(",", at):
                yield row
                row = []
            at += 1

    def _quote(self, at: int) -> None:
        self._problem(
            at,
            "",
            "a cell that ends with the quote that it began with",
            "none, or more behind it",
            "close the cell, and write a quote within it twice",
        )

    def _columns(self, header: list[_Cell]) -> list[str]:
        """Return the names of the columns; none if the lines below cannot be read by them."""
        while header and not header[-1].text.strip():
            header = header[:-1]
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if len(header) == 1 and separator in header[0].text:
                self._problem(0, "", "commas between the columns", name, _SAVE)
                return []
        meant = [_meant(cell.text) for cell in header]
        if not any(meant):
            # What stands there may be a patient: it is not repeated.
            wanted = f"the names of the columns: {', '.join(COLUMNS)}"
            self._problem(0, "", wanted, "something else", "write them into a line above the first")
            return []
        before = len(self.problems)
        for index, cell in enumerate(header):
            self._check_column(cell, meant[index], meant[:index])
        if "patient_id" not in meant:
            self._problem(0, "", "the column patient_id", "none", "add it, and write its name")
        return [] if len(self.problems) > before else meant

    def _check_column(self, cell: _Cell, meant: str, others: list[str]) -> None:
        if cell.text != meant:
            remedy = f"did you mean {meant}?" if meant else f"one of {', '.join(COLUMNS)}"
            expected = "the name of a column"
            self._problem(cell.offset, "", expected, "one that is not known", remedy)
        elif meant in others:
            self._problem(cell.offset, meant, "each column once", "a second one", "remove it")

    def _entry(self, columns: list[str], row: list[_Cell]) -> Watch | None:
        before = len(self.problems)
        surplus = [cell for cell in row[len(columns) :] if cell.text]
        if surplus:
            remedy = "remove it, or put a text that contains a comma between double quotes"
            expected = f"{len(columns)} cells, as in the first line"
            self._problem(surplus[0].offset, "", expected, "one more", remedy)
        values = {
            column: self._value(column, cell)
            for column, cell in zip(columns, row, strict=False)
            if cell.text
        }
        if "patient_id" not in values:
            expected = _KINDS["patient_id"].expected
            self._problem(row[0].offset, "patient_id", expected, "an empty cell", "write it there")
        if len(self.problems) > before:
            return None
        entry = Watch(**values)
        self._check_pseudonym(entry, row[columns.index("pseudonym")] if entry.pseudonym else row[0])
        return entry

    def _value(self, column: str, cell: _Cell) -> Any:
        try:
            if column == "since":
                return Date().read(_day(cell.text))
            if column != "pseudonym" and re.fullmatch(r"\d(\.\d+)?E\+\d+", cell.text):
                raise Mistake(
                    _KINDS[column].expected,
                    "a number that the spreadsheet program has shortened",
                    "format the column as text there, and write the numbers again",
                )
            return _KINDS[column].read(cell.text)
        except Mistake as mistake:
            self._problem(cell.offset, column, mistake.expected, mistake.found, mistake.remedy)
            return None

    def _check_pseudonym(self, entry: Watch, cell: _Cell) -> None:
        if not entry.pseudonym:
            return
        if entry.pseudonym == entry.patient_id:
            remedy = "write one that does not tell who the patient is, or leave the cell empty"
            found = "the patient's own number"
            self._problem(cell.offset, "pseudonym", "a pseudonym", found, remedy)
        here = f"in line {self._lines.place(cell.offset).line}"
        earlier, where = self._pseudonyms.setdefault(entry.patient_id, (entry.pseudonym, here))
        if earlier != entry.pseudonym:
            self._problem(
                cell.offset,
                "pseudonym",
                "the pseudonym that this patient has already",
                f"another one than {where}",
                "write the same pseudonym in all entries of a patient",
            )

    def _problem(self, offset: int, key: str, expected: str, found: str, remedy: str) -> None:
        place = self._lines.place(offset)
        self.problems.append(Problem(place.line, place.column, key, expected, found, remedy, NAME))


_COMMON_NAMES = {
    "id": "patient_id",
    "patientid": "patient_id",
    "患者id": "patient_id",
    "患者番号": "patient_id",
    "仮名": "pseudonym",
    "accessionnumber": "accession",
    "受付番号": "accession",
    "date": "since",
    "開始日": "since",
}


def _meant(name: str) -> str:
    """Return the column that a name in the first line means, or an empty text."""
    letters = re.sub(r"[\s_-]", "", halfwidth(name)).casefold()
    return _COMMON_NAMES.get(letters) or did_you_mean(name.strip(), COLUMNS)


def _day(text: str) -> date | str:
    """Return the day that a cell holds, as spreadsheets write it with the year first."""
    parts = re.fullmatch(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})", text.strip(), re.ASCII)
    try:
        return date(int(parts[1]), int(parts[3]), int(parts[4])) if parts else text
    except ValueError:
        return text
