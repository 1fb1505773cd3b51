"""Attributes read by the scan are those that pydicom reads, for every file we have."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.images.decoders import samples
from appliance.images.render import Limits, Refusal
from appliance.images.render import attributes as a
from appliance.images.render.attributes import (
    Attribute,
    DatasetAttributes,
    Encoding,
    NotPlain,
    ScannedAttributes,
    scan,
)
from appliance.images.render.source import of_file, opened
from tests.unit.render.files import FILES

NAMES = sorted(name for name, value in vars(a).items() if isinstance(value, Attribute))
INTEGERS = [n for n in NAMES if getattr(a, n).vr in ("US", "IS")]
DECIMALS = [n for n in NAMES if getattr(a, n).vr == "DS"]
TEXTS = [n for n in NAMES if getattr(a, n).vr in ("UI", "CS")]
SEQUENCES = [n for n in NAMES if getattr(a, n).vr == "SQ"]
BYTES = [n for n in NAMES if getattr(a, n).vr == "OW"]


def compare(ours: a.Attributes, theirs: a.Attributes) -> None:
    for name in INTEGERS:
        attribute = getattr(a, name)
        mine = [value & 0xFFFF for value in ours.integers(attribute)]
        assert mine == [value & 0xFFFF for value in theirs.integers(attribute)], name
    for name in DECIMALS:
        assert ours.decimal(getattr(a, name)) == theirs.decimal(getattr(a, name)), name
    for name in TEXTS:
        assert ours.text(getattr(a, name)) == theirs.text(getattr(a, name)), name
    for name in BYTES:
        assert ours.encoded(getattr(a, name)) == theirs.encoded(getattr(a, name)), name
    for name in SEQUENCES:
        mine_items, their_items = ours.items(getattr(a, name)), theirs.items(getattr(a, name))
        assert len(mine_items) == len(their_items), name
        for mine_item, their_item in zip(mine_items, their_items, strict=True):
            compare(mine_item, their_item)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_scan_reads_what_pydicom_reads(path: Path) -> None:
    try:
        source = opened(path, Limits())
    except Refusal:
        pytest.skip("not a DICOM file")
    if not isinstance(source.attributes, ScannedAttributes):
        pytest.skip("read by pydicom itself")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path)
        if not len(dataset):
            pytest.skip("pydicom gives up where the pixel data is cut off")
        compare(source.attributes, DatasetAttributes(dataset))
        dataset.decode()
        dataset.walk(lambda _, element: element.value)
        compare(source.attributes, DatasetAttributes(dataset))
    if source.pixels is not None and not source.encapsulated:
        assert bytes(source.pixels) == dataset[source.pixel_tag].value


def test_most_files_are_read_by_the_scan() -> None:
    kinds = []
    for path in FILES:
        try:
            kinds.append(type(opened(path, Limits()).attributes))
        except Refusal:
            continue
    assert kinds.count(ScannedAttributes) > 0.9 * len(kinds)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_bytes_at_random_are_read_or_refused(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(samples()))
    mutant = bytearray(sample.file)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(132, len(mutant) - 1))
        mutant[at] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = of_file(memoryview(bytes(mutant)), Limits(inflated_bytes=1 << 20))
        except Refusal:
            return
    for name in NAMES:
        attribute = getattr(a, name)
        source.attributes.integers(attribute)
        source.attributes.decimal(attribute)
        source.attributes.text(attribute)
        source.attributes.encoded(attribute)
        source.attributes.items(attribute)


def test_sequences_nested_without_end_are_not_followed() -> None:
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(NotPlain):
        scan(memoryview(opening * 10_000), Encoding(implicit=False, little_endian=True))
