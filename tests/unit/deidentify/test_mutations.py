"""Real headers damaged at random: a valid result or Malformed, never anything else, and soon."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.images.deidentify import Malformed

from . import oracle
from .datasets import BIG, EXPLICIT, IMPLICIT, deidentifier, read, real_files, write
from .structure import flat, parse

NAMES = (
    "CT_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "test-SR.dcm", "nested_priv_SQ.dcm",
    "priv_SQ.dcm", "UN_sequence.dcm", "liver_1frame.dcm", "reportsi.dcm", "waveform_ecg.dcm",
    "chrH31.dcm", "chrSQEncoding.dcm", "US1_UNCI.dcm", "emri_small.dcm",
)  # fmt: skip


def headers():
    """The parts of real files before their pixels, each with its encoding; some re-encoded."""
    found = {}
    for real in real_files():
        if real.name in NAMES and len(real.data) < 3_000_000:
            header = deidentifier().header(real.data, real.encoding, complete=True)
            end = (header.pixels_at or len(real.data)) + 16
            found[real.name] = (real.data[:end][:12_000], real.encoding)
    (small,) = (r for r in real_files() if r.name == "rtplan.dcm")
    dataset = read(small.data, small.encoding)
    for name, encoding in (("implicit", IMPLICIT), ("explicit", EXPLICIT), ("big", BIG)):
        found[name] = (write(dataset, encoding), encoding)
    return found


HEADERS = headers()
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "copy", "length"]),
        st.integers(0, 12_000),
        st.integers(0, 255),
        st.sampled_from([1, 2, 4, 8, 64]),
    ),
    max_size=12,
)


def damaged(data: bytes, damage, cut: int | None) -> bytes:
    out = bytearray(data)
    for what, at, value, size in damage:
        at %= len(out) + 1
        if what == "set":
            out[at : at + 1] = bytes([value])
        elif what == "insert":
            out[at:at] = bytes([value]) * size
        elif what == "delete":
            del out[at : at + size]
        elif what == "copy":
            out[at:at] = out[value * 8 : value * 8 + size]
        else:
            out[at : at + 4] = b"\xff\xff\xff\xff" if value > 127 else bytes([value, 0, 0, 0])
    return bytes(out[:cut] if cut is not None else out)


@pytest.mark.parametrize("profile", ["basic", "clear"])
@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(sorted(HEADERS)),
    damage=DAMAGE,
    cut=st.none() | st.integers(0, 12_000),
    complete=st.booleans(),
)
def test_damage_yields_a_valid_result_or_a_refusal(profile, name, damage, cut, complete):
    data, encoding = HEADERS[name]
    data = damaged(data, damage, cut)
    started = process_time()
    try:
        header = deidentifier(profile).header(data, encoding, complete=complete)
    except Malformed as refused:
        assert "offset" in str(refused)
        return
    finally:
        assert process_time() - started < 1
    assert header is not None or not complete
    if header is None:
        return
    elements = parse(header.data, encoding, oracle.SEQUENCES)
    if profile == "basic":
        assert all(
            oracle.letters(e.tag) != "X" for e in flat(elements) if e.tag not in oracle.MARKERS
        )
    assert header.pixels_at is None or header.pixels_at < len(data)
    again = deidentifier(profile).header(header.data, encoding, complete=True)
    assert again is not None
    assert again.discarded == ()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_noise_yields_a_valid_result_or_a_refusal(data, encoding):
    try:
        header = deidentifier().header(data, encoding, complete=True)
    except Malformed:
        return
    assert header is not None
    parse(header.data, encoding, oracle.SEQUENCES)


def test_headers_are_there():
    assert set(NAMES) - set(HEADERS) == set()
