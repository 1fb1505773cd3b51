"""The profile `clear`: the listed values are emptied at every depth, all else is what it was."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from appliance.images.deidentify import CLEARED

from . import oracle
from .datasets import (
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    deidentifier,
    element,
    header_of,
    item,
    read,
    real_files,
    sequence,
    text,
)
from .structure import Element, flat, parse

MARKERS = {0x00120062, 0x00120063}
KEPT = 0x00189346
REMOVED = oracle.SEQUENCES & set(CLEARED) - {0x0040A088}
REAL = [real for real in real_files() if real.name != "winter.dcm"]


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", ENCODINGS)
def test_every_listed_attribute_is_emptied(name, depth):
    encoding = ENCODINGS[name]
    body = b""
    for tag in CLEARED:
        vr = dictionary_VR(tag).encode()
        value = item(encoding, element(encoding, 0x00080104, b"LO", b"SECRET"))
        body += element(encoding, tag, vr, value if vr == b"SQ" else b"SECRET")
    for _ in range(depth):
        body = sequence(encoding, KEPT, item(encoding, body))
    header = header_of(body, encoding, "clear")
    assert b"SECRET" not in header.data
    elements = flat(parse(header.data, encoding, oracle.SEQUENCES))
    emptied = [e for e in elements if len(e.path) == depth and e.tag not in MARKERS]
    assert [e.tag for e in emptied] == [t for t in CLEARED if t not in REMOVED]
    assert all(not e.value for e in emptied)


NAMED = (
    "PatientName PatientID PatientBirthDate OtherPatientIDsSequence ReferringPhysicianName "
    "InstitutionName InstitutionAddress PatientAddress OperatorsName PersonName AccessionNumber "
    "PatientTelephoneNumbers PatientMotherBirthName MedicalRecordLocator RequestingPhysician "
    "PerformingPhysicianName IssuerOfPatientID"
)


@pytest.mark.parametrize("keyword", NAMED.split())
def test_what_the_statement_names_is_listed(keyword):
    assert tag_for_keyword(keyword) in CLEARED


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.name)
def test_all_else_is_byte_equal(real):
    header = header_of(real.data, real.encoding, "clear")
    end = len(real.data) if header.pixels_at is None else header.pixels_at
    before = parse(real.data[:end], real.encoding, oracle.SEQUENCES)
    after = parse(header.data, real.encoding, oracle.SEQUENCES)
    assert header.discarded == ()
    assert flattened(before) == flattened(after)


def flattened(elements: tuple[Element, ...]) -> list[tuple[tuple[int, ...], int, bytes, bytes]]:
    """Every element that is not a sequence, with the value that `clear` leaves it.

    A private sequence that nothing declares as one looks like any value here; see below.
    """
    return [
        (e.path, e.tag, *((b"", b"") if e.tag in CLEARED else (e.vr, e.value)))
        for e in flat(elements)
        if e.items is None
        and not (e.vr in (b"", b"UN") and e.value.startswith(b"\xfe\xff\x00\xe0"))
        and e.tag not in oracle.MARKERS - {0x00280303, 0x00120064}
        and e.tag & 0xFFFF
        and not set(e.path) & set(CLEARED)
        and not (e.tag in CLEARED and e.tag in oracle.SEQUENCES)
    ]


def test_identity_stays_but_for_the_patient():
    data = b"".join(
        (
            element(IMPLICIT, 0x00080016, b"UI", text("1.2.840.10008.5.1.4.1.1.2", b"UI")),
            element(IMPLICIT, 0x00080018, b"UI", text("1.2.3", b"UI")),
            element(IMPLICIT, 0x00100020, b"LO", b"42"),
            element(IMPLICIT, 0x0020000D, b"UI", text("1.2.4", b"UI")),
            element(IMPLICIT, 0x0020000E, b"UI", text("1.2.5", b"UI")),
        )
    )
    header = header_of(data, IMPLICIT, "clear")
    assert header.original.patient_id == "42"
    assert header.mapped.patient_id == ""
    assert (header.mapped.sop_instance, header.mapped.study) == ("1.2.3", "1.2.4")
    assert header.mapped.series == header.original.series == "1.2.5"
    assert deidentifier("clear").uid("1.2.3") == "1.2.3"
    assert deidentifier("clear").pseudonym("42") == ""
    assert read(header.data, IMPLICIT).PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("delimited", [False, True])
@pytest.mark.parametrize("name", ENCODINGS)
def test_private_sequences_are_gone_through(name, delimited):
    encoding = ENCODINGS[name]
    inner = element(encoding, 0x00091001, b"LO", b"KEPT")
    inner += element(encoding, 0x00100010, b"PN", b"SECRET")
    data = element(encoding, 0x00090010, b"LO", b"ACME")
    data += sequence(encoding, 0x00091002, item(encoding, inner), delimited=delimited)
    header = header_of(data, encoding, "clear")
    assert b"SECRET" not in header.data
    assert b"KEPT" in header.data
    assert b"ACME" in header.data


def test_private_sequence_of_vr_un_is_gone_through():
    inner = element(IMPLICIT, 0x00100010, b"PN", b"SECRET")
    data = element(EXPLICIT, 0x00091002, b"UN", item(IMPLICIT, inner))
    header = header_of(data, EXPLICIT, "clear")
    assert b"SECRET" not in header.data


def test_group_lengths_go_for_they_would_lie():
    data = element(IMPLICIT, 0x00080000, b"UL", b"\x0a\0\0\0")
    data += element(IMPLICIT, 0x00080060, b"CS", b"CT")
    data += element(IMPLICIT, 0x00090000, b"UL", b"\x0a\0\0\0")
    assert {
        e.tag for e in parse(header_of(data, IMPLICIT, "clear").data, IMPLICIT, frozenset())
    } == {
        0x00080060,
        *MARKERS,
    }
