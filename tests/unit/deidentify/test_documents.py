"""Encapsulated documents become empty ones that still open."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from .datasets import ENCODINGS, element, header_of, read, text

STORAGE = "1.2.840.10008.5.1.4.1.1.104."
SECRET = b"%PDF-1.4 report on SECRET^PATIENT"
KINDS = {"PDF": "1", "CDA": "2", "STL": "3", "OBJ": "4", "MTL": "5"}


def document(name: str, kind: str) -> bytes:
    encoding = ENCODINGS[name]
    order = "little" if encoding.little_endian else "big"
    data = b"".join(
        (
            element(encoding, 0x00080016, b"UI", text(STORAGE + KINDS[kind], b"UI")),
            element(encoding, 0x00420010, b"ST", b"SECRET"),
            element(encoding, 0x00420011, b"OB", text(SECRET, b"OB")),
            element(encoding, 0x00420012, b"LO", text("application/pdf")),
            element(encoding, 0x00420015, b"UL", len(SECRET).to_bytes(4, order)),
        )
    )
    header = header_of(data, encoding)
    assert b"SECRET" not in header.data
    out = read(header.data, encoding)
    assert out.DocumentTitle == ""
    length = out.EncapsulatedDocumentLength
    assert len(out.EncapsulatedDocument) == length + length % 2
    content: bytes = out.EncapsulatedDocument[:length]
    return content


@pytest.mark.parametrize("name", ENCODINGS)
def test_pdf_is_one_blank_page(name):
    pdf = document(name, "PDF")
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    table = int(re.search(rb"startxref\n(\d+)", pdf)[1])
    assert pdf[table:].startswith(b"xref\n0 4\n")
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", pdf), start=1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj" % number)
    assert pdf.count(b"/Type/Page/") == 1


@pytest.mark.parametrize("name", ENCODINGS)
def test_cda_is_an_empty_clinical_document(name):
    assert ElementTree.fromstring(document(name, "CDA")).tag == "{urn:hl7-org:v3}ClinicalDocument"


@pytest.mark.parametrize("name", ENCODINGS)
def test_stl_has_no_triangles(name):
    stl = document(name, "STL")
    assert len(stl) == 84
    assert int.from_bytes(stl[80:], "little") == 0


@pytest.mark.parametrize("kind", ["OBJ", "MTL"])
def test_meshes_are_a_comment(kind):
    assert document("explicit", kind) == b"# removed\n"
