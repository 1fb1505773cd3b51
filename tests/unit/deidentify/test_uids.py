"""UIDs are mapped by a key, one way, the same for ever, and alike wherever they stand."""

from __future__ import annotations

import re
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.images.deidentify import Deidentifier
from appliance.images.deidentify.uids import UIDMap

from .datasets import (
    ENCODINGS,
    IMPLICIT,
    KEY,
    deidentifier,
    element,
    header_of,
    item,
    read,
    sequence,
    text,
)
from .structure import parse

UID = re.compile(r"2\.25\.[1-9][0-9]{0,38}")


@given(st.from_regex(r"[0-2](\.(0|[1-9][0-9]{0,8})){1,6}", fullmatch=True))
def test_mapped_uid_is_a_uid_of_a_version_8_uuid(original):
    mapped = deidentifier().uid(original)
    assert UID.fullmatch(mapped)
    assert len(mapped) <= 64
    number = UUID(int=int(mapped.removeprefix("2.25.")))
    assert number.version == 8
    assert number.variant == RFC_4122


def test_mapping_depends_on_the_key_and_on_nothing_else():
    # frozen: a box that forgets its mapping fetches everything again, and doubles it
    assert deidentifier().uid("1.2.3") == "2.25.290134342178702128688701685242745379722"
    assert Deidentifier("basic", KEY).uid("1.2.3") == deidentifier().uid("1.2.3")
    assert Deidentifier("basic", bytes(32)).uid("1.2.3") != deidentifier().uid("1.2.3")


def test_no_two_uids_meet():
    assert len({deidentifier().uid(f"1.2.{n}") for n in range(50_000)}) == 50_000


def test_registered_uids_stay_and_invented_ones_below_the_root_do_not():
    for registered in ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.4.1.1"):
        assert deidentifier().uid(registered) == registered
    invented = "1.2.840.10008.5.1.4.1.1.2.20230917.4711"
    assert UID.fullmatch(deidentifier().uid(invented))


@pytest.mark.parametrize("name", ENCODINGS)
def test_elements_are_mapped_value_by_value(name):
    encoding = ENCODINGS[name]
    values = ["1.2.3", "", "1.2.840.10008.1.4.1.1", "1.2.4"]
    data = element(encoding, 0x00080058, b"UI", text("\\".join(values), b"UI"))
    data += element(encoding, 0x0020000D, b"UI", b"")
    out = read(header_of(data, encoding).data, encoding)
    uid = deidentifier().uid
    assert out.FailedSOPInstanceUIDList == [uid("1.2.3"), "", values[2], uid("1.2.4")]
    assert out.StudyInstanceUID == ""


@pytest.mark.parametrize("name", ENCODINGS)
def test_list_that_outgrows_its_vr_becomes_one_of_vr_un(name):
    encoding = ENCODINGS[name]
    value = b"\\".join([b"1.2.3"] * 10_000) + b"\0"
    data = element(encoding, 0x00080058, b"UI", value)
    (out, *_) = parse(header_of(data, encoding).data, encoding, frozenset())
    assert out.vr == (b"" if encoding.implicit else b"UN")
    assert out.value.rstrip(b"\0").split(b"\\") == [deidentifier().uid("1.2.3").encode()] * 10_000


@pytest.mark.parametrize("value", [b"1.2.3", b"1.2.3\0", b"1.2.3 ", b" 1.2.3", b"1.2.3\0\0\0"])
def test_padding_makes_no_other_uid(value):
    header = header_of(element(IMPLICIT, 0x0020000D, b"UI", value), IMPLICIT)
    assert header.original.study == "1.2.3"
    assert header.mapped.study == deidentifier().uid("1.2.3")


def test_references_stay_whole():
    study, instance = text("1.2.3", b"UI"), text("1.2.4", b"UI")
    reference = element(IMPLICIT, 0x00081155, b"UI", instance)
    data = element(IMPLICIT, 0x00080018, b"UI", instance)
    data += sequence(IMPLICIT, 0x00081115, item(IMPLICIT, reference))
    data += element(IMPLICIT, 0x0020000D, b"UI", study)
    header = header_of(data, IMPLICIT)
    out = read(header.data, IMPLICIT)
    assert out.SOPInstanceUID == header.mapped.sop_instance == deidentifier().uid("1.2.4")
    assert out.ReferencedSeriesSequence[0].ReferencedSOPInstanceUID == out.SOPInstanceUID


def test_memory_of_the_mapping_is_bounded():
    uids = UIDMap(KEY)
    for n in range(30_000):
        uids.map_value(b"1.2.%d" % n)
    uids.map_value(b"1.2\\" * 100_000)
    assert len(uids._mapped) <= 8192
    assert sum(map(len, uids._mapped)) < 1_000_000


@pytest.mark.parametrize("value", [b"\xff\xfe", b"A^B", b"1.2.\xe9", b"..", b"A\\B"])
def test_no_value_fails(value):
    header = header_of(element(IMPLICIT, 0x0020000D, b"UI", value), IMPLICIT)
    out = [e.value for e in parse(header.data, IMPLICIT, frozenset()) if e.tag == 0x0020000D]
    assert out != [value]


@pytest.mark.parametrize("size", [0, 15, 65])
def test_key_must_be_a_key(size):
    with pytest.raises(ValueError, match="16 to 64"):
        Deidentifier("basic", bytes(size))
