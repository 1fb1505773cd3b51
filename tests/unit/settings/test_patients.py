"""patients.csv: what spreadsheets write is read, and every mistake has its line and column."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.settings.model import Settings, Watch
from appliance.settings.patients import COLUMNS, LARGEST, read_contents, read_files
from appliance.settings.problems import Problems

TOML = b"revision = 3\n"
LIST = (
    "patient_id,pseudonym,accession,since\n"
    "00012345,NET-0001,A1,2025-04-01\n"
    '"患者, 7",,,2025/4/1\n'
    "\n"
    "77,,,\n"
)
ENTRIES = (
    Watch("00012345", "NET-0001", "A1", date(2025, 4, 1)),
    Watch("患者, 7", since=date(2025, 4, 1)),
    Watch("77"),
)


def problems(text, toml=TOML):
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(Problems) as caught:
        read_contents(toml, data)
    return caught.value.problems


@pytest.mark.parametrize(
    "data",
    [
        LIST.encode(),
        b"\xef\xbb\xbf" + LIST.encode(),
        LIST.replace("\n", "\r\n").encode(),
        LIST.replace("\n", "\r\r\n").encode(),
        LIST.replace("\n", "\r").encode(),
        LIST.rstrip().encode(),
        LIST.replace("\n", ",,\n").encode(),
    ],
    ids=["plain", "mark", "CRLF", "CR CRLF", "CR", "no end", "empty columns behind"],
)
def test_what_spreadsheets_write_is_read(data):
    assert read_contents(TOML, data) == Settings(3, watch=ENTRIES)


def test_columns_may_stand_in_any_order_and_be_few():
    assert read_contents(TOML, b"since,patient_id\n,77\n").watch == (Watch("77"),)
    assert read_contents(TOML, b"patient_id\n").watch == ()


def test_a_list_is_joined_with_the_entries_of_the_settings_and_nobody_is_there_twice():
    toml = TOML + b'[[watch]]\npatient_id = "77"\n[[watch]]\npatient_id = "88"\n'
    assert read_contents(toml, LIST.encode()).watch == (
        Watch("77"),
        Watch("88"),
        ENTRIES[0],
        ENTRIES[1],
    )


def test_a_quote_within_a_cell_is_written_twice():
    assert read_contents(TOML, b'patient_id\n"7""7"\n').watch == (Watch('7"7'),)


@pytest.mark.parametrize(
    ("text", "place", "key", "words"),
    [
        ("", (1, 1), "", "an empty file; write the names of the columns"),
        ("\ufeff\r\n", (1, 1), "", "an empty file"),
        ("00012345,NET-1\n", (1, 1), "", "the names of the columns"),
        ("patient_id;since\n1;\n", (1, 1), "", "commas between the columns, found semicolons"),
        ("patient_id\tsince\n1\t\n", (1, 1), "", "commas between the columns, found tabs"),
        ("patient_id,patient_id\n", (1, 12), "patient_id", "each column once"),
        ("Patient ID,since\n", (1, 1), "", "did you mean patient_id?"),
        ("患者ID,since\n", (1, 1), "", "did you mean patient_id?"),
        ("patient_id,ward\n", (1, 12), "", "one that is not known"),
        ("pseudonym,since\n", (1, 1), "", "the column patient_id"),
        ("patient_id,since\n,2025-04-01\n", (2, 1), "patient_id", "an empty cell"),
        ("patient_id,since\n77\n 88\n", (3, 1), "patient_id", "spaces at an end"),
        ("patient_id\n7*\n", (2, 1), "patient_id", "would match other patients"),
        ("patient_id\n1.23457E+11\n", (2, 1), "patient_id", "format the column as text"),
        ("patient_id,accession\n7,1.2E+05\n", (2, 3), "accession", "format the column as text"),
        ("patient_id,since\n7,01.04.2025\n", (2, 3), "since", "write it like 2025-04-01"),
        ("patient_id,since\n7,2025-02-30\n", (2, 3), "since", "a day that is in the calendar"),
        ("patient_id,since\n7,1066-10-14\n", (2, 3), "since", "1900-01-01 or later"),
        ("patient_id,pseudonym\n7,仮名\n", (2, 3), "pseudonym", "only ASCII"),
        ("patient_id,pseudonym\n7,7\n", (2, 3), "pseudonym", "the patient's own number"),
        ("patient_id,pseudonym\n7,A\n7,B\n", (3, 3), "pseudonym", "than in line 2"),
        ("patient_id,since\n7,,x\n", (2, 4), "", "2 cells, as in the first line"),
        ('patient_id\n7\n"8\n9\n', (3, 1), "", "ends with the quote"),
        ('patient_id\n"8"9\n', (2, 1), "", "ends with the quote"),
        ('patient_id\n"8\n9"\n', (2, 1), "patient_id", "the invisible character U+000A"),
    ],
)
def test_a_mistake_at_its_place(text, place, key, words):
    (only,) = problems(text)
    assert (only.line, only.column) == place
    assert (only.key, only.file) == (key, "patients.csv")
    assert words in str(only)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (LIST.encode("cp932"), "probably Shift-JIS"),
        (LIST.encode("euc_jp"), "probably EUC-JP"),
        (LIST.encode("utf-16"), "text in UTF-16"),
        (LIST.encode("utf-16-le"), "text in UTF-16"),
        (b"PK\x03\x04workbook", "office document (.docx, .xlsx, .odt)"),
        (b"patient_id\n7\x007\n", "a NUL byte"),
    ],
)
def test_another_kind_of_file_is_named(data, found):
    (only,) = problems(data)
    assert found in only.found
    assert "CSV UTF-8" in only.remedy
    assert only.file == "patients.csv"


def test_the_place_of_another_encoding_is_that_of_its_first_character():
    (only,) = problems("patient_id\n7\n8,患者\n".encode("cp932"))
    assert (only.line, only.column) == (3, 3)


def test_the_largest_list_is_read_and_a_larger_one_is_not():
    data = b"patient_id\n7\n".ljust(LARGEST, b"\n")
    assert read_contents(TOML, data).watch == (Watch("7"),)
    (only,) = problems(data + b"\n")
    assert only.expected == "at most 1024 KiB"


def test_all_mistakes_of_both_files_are_found_at_once():
    found = problems("patient_id,since\n7*,x\n,\n8,y\n", b"revision = 0\n[ae]\nport = 0\n")
    assert [(each.file, each.line) for each in found] == [
        ("", 1),
        ("", 3),
        ("patients.csv", 2),
        ("patients.csv", 2),
        ("patients.csv", 4),
    ]


def test_a_pseudonym_against_that_of_the_settings():
    toml = TOML + b'[[watch]]\npatient_id = "7"\npseudonym = "A"\n'
    (only,) = problems("patient_id,pseudonym\n7,B\n", toml)
    assert only.found == "another one than in netty.toml"


def test_no_patient_stands_in_a_mistake():
    for text in ("4711\n", "patient_id,since\n4711*,x\n", "patient_id,pseudonym\n4711,4711\n"):
        assert all("4711" not in str(each) for each in problems(text))


def test_files_are_read_and_one_that_is_not_there_is_named(tmp_path):
    toml, patients = tmp_path / "netty.toml", tmp_path / "patients.csv"
    toml.write_bytes(TOML)
    with pytest.raises(Problems, match="none of this name"):
        read_files(toml, patients)
    patients.write_text(LIST)
    assert read_files(toml, patients) == Settings(3, watch=ENTRIES)
    assert read_files(toml, None) == Settings(3)


@given(st.binary() | st.text().map(str.encode))
def test_hostile_bytes_are_read_or_named(data):
    try:
        read_contents(TOML, data)
    except Problems as caught:
        assert all(each.line >= 1 and each.column >= 1 for each in caught.problems)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=5)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=5))
def test_hostile_cells_are_read_or_named_in_a_line_that_is_there(rows):
    lines = [",".join(COLUMNS), *(",".join(row) for row in rows)]
    text = "\n".join(lines)
    try:
        read_contents(TOML, text.encode())
    except Problems as caught:
        count = text.count("\n") + 1
        assert all(1 <= each.line <= count for each in caught.problems)
