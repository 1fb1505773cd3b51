"""The table of what was done says what was done, and shows no value that could do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from appliance.images.deidentify import (
    Deidentifier,
    Malformed,
    as_html,
    as_text,
    deidentify_file,
    explain,
)
from appliance.images.deidentify.explain import Line

from .datasets import KEY, real_files


def told(source: Path, *options: str) -> tuple[Line, ...]:
    after = deidentify_file(
        source,
        deidentifier=Deidentifier("basic", KEY, options=options),
        implementation_class_uid="1.2.3.4",
        implementation_version_name="NETTY_TEST",
    )
    return tuple(explain(source.read_bytes(), after, options))


def of(lines: tuple[Line, ...], tag: int, depth: int = 0) -> Line:
    return next(line for line in lines if (line.tag, line.depth) == (tag, depth))


CT = Path(str(get_testdata_file("CT_small.dcm")))


def test_each_kind_of_action_is_named():
    lines = told(CT, "retain_long_modified_dates")
    done = {tag: of(lines, tag).done for tag in (0x00080060, 0x00080012, 0x00080018, 0x00081010)}
    assert done == {
        0x00080060: "kept",
        0x00080012: "moved",
        0x00080018: "mapped",
        0x00081010: "removed",
    }
    assert of(lines, 0x00100010).done == "replaced"
    assert of(lines, 0x00100010).before == "CompressedSamples^CT1"
    assert of(lines, 0x00100040).done == "emptied"
    assert of(lines, 0x00120062).done == "added"
    assert of(lines, 0x00080012).rule == "X/D → C"
    assert of(lines, 0x00091001).rule == "X (private)"
    assert of(lines, 0x00100020, depth=1).done == "removed", "within Other Patient IDs Sequence"


def test_every_element_of_a_file_has_its_line():
    before = dcmread(CT)
    shown = {line.tag for line in told(CT) if not line.depth}
    assert shown >= {int(element.tag) for element in before}


@pytest.mark.parametrize("real", real_files()[::12], ids=lambda real: real.name)
def test_files_of_others_are_explained(real):
    try:
        lines = told(real.path)
    except Malformed:
        return
    text = as_text(lines)
    assert len(text.splitlines()) == len(lines) + 1
    assert of(lines, 0x00120062).after == "YES"


def test_page_and_terminal_are_safe_from_what_a_dataset_says(tmp_path):
    dataset = dcmread(CT)
    dataset.StudyDescription = "<script>alert(1)</script>"
    dataset.StationName = "\x9b2J\u202e"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    item = Dataset()
    item.InstitutionName = '"><b>'
    dataset.InstitutionCodeSequence = [item]
    dataset.save_as(tmp_path / "evil.dcm")
    lines = told(tmp_path / "evil.dcm")
    page = as_html(lines, "<i>evil</i>")
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page
    text = as_text(lines)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
