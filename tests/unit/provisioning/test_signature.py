"""Signatures: what they cover, and every way in which one is missing, damaged or forged."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from appliance.provisioning.signature import (
    NoKey,
    fingerprint,
    read_key,
    signed_bytes,
    signers,
    write_key,
)
from appliance.provisioning.signing import new_key, public_key, sign
from appliance.provisioning.stick import Contents, Unusable

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PUBLIC = public_key(KEY)
SETTINGS, PATIENTS = b"revision = 1\n", b"patient_id\n"


def refusal(contents: Contents, trusted: frozenset[bytes] = frozenset()) -> Unusable:
    with pytest.raises(Unusable) as caught:
        signers(contents, trusted)
    return caught.value


def test_who_signed_is_told() -> None:
    signature = sign(SETTINGS, PATIENTS, [KEY, OTHER])
    found = signers(Contents(SETTINGS, PATIENTS, signature), ())
    assert found == {PUBLIC, public_key(OTHER)}


def test_what_is_not_signed_is_by_nobody_while_nobody_is_trusted() -> None:
    assert signers(Contents(SETTINGS), ()) == frozenset()
    assert "not signed" in refusal(Contents(SETTINGS), frozenset({PUBLIC})).sentence


def test_one_trusted_key_is_enough() -> None:
    contents = Contents(SETTINGS, None, sign(SETTINGS, None, [OTHER, KEY]))
    assert PUBLIC in signers(contents, frozenset({PUBLIC}))


def test_another_key_is_named_by_its_fingerprint() -> None:
    contents = Contents(SETTINGS, None, sign(SETTINGS, None, [OTHER]))
    found = refusal(contents, frozenset({PUBLIC}))
    assert fingerprint(public_key(OTHER)) in found.sentence
    assert fingerprint(PUBLIC) in found.remedy


@pytest.mark.parametrize(
    "contents",
    [
        Contents(SETTINGS + b"#", PATIENTS, sign(SETTINGS, PATIENTS, [KEY])),
        Contents(SETTINGS, PATIENTS + b"7\n", sign(SETTINGS, PATIENTS, [KEY])),
        Contents(SETTINGS, None, sign(SETTINGS, PATIENTS, [KEY])),
        Contents(SETTINGS, PATIENTS, sign(SETTINGS, None, [KEY])),
        Contents(SETTINGS, b"", sign(SETTINGS, None, [KEY])),
        Contents(PATIENTS, SETTINGS, sign(SETTINGS, PATIENTS, [KEY])),
    ],
    ids=["settings", "patients", "patients gone", "patients added", "empty", "swapped"],
)
def test_a_changed_file_is_seen(contents: Contents) -> None:
    assert "changed after signing" in refusal(contents).sentence


def test_the_signature_is_that_of_the_standard() -> None:
    lines = sign(SETTINGS, PATIENTS, [KEY]).decode().split("\n")
    assert lines[0] == "netty signature 1"
    key, signature = (line.split(" ")[1] for line in lines[1:3])
    message = signed_bytes(SETTINGS, PATIENTS)
    assert VerifyKey(read_key(key)) == SigningKey(KEY).verify_key
    VerifyKey(read_key(key)).verify(message, base64.b64decode(signature.split()[-1]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"netty signature 1\n",
        b"netty signature 2\nkey A\nsignature A\n",
        b"netty signature 1\nkey A\n",
        b"netty signature 1\nkey A\nsignature B\n",
        b"-----BEGIN PGP SIGNATURE-----\n",
        b"\xff\xfe" + "netty signature 1\n".encode("utf-16-le"),
        b"netty signature 1\n" + b"key A\nsignature A\n" * 9,
        sign(SETTINGS, None, [KEY]).replace(b"key ", b"KEY "),
        sign(SETTINGS, None, [KEY])[:-10],
    ],
)
def test_a_damaged_signature_is_named(data: bytes) -> None:
    assert "netty.toml.sig is damaged" in refusal(Contents(SETTINGS, None, data)).sentence


def test_line_ends_and_a_mark_of_windows_do_not_matter() -> None:
    data = b"\xef\xbb\xbf" + sign(SETTINGS, None, [KEY]).replace(b"\n", b"\r\n")
    assert signers(Contents(SETTINGS, None, data), ()) == {PUBLIC}


@given(st.binary(max_size=400), st.integers(0, 200), st.integers(0, 60))
def test_hostile_bytes_make_nobody_else_a_signer(data: bytes, at: int, cut: int) -> None:
    whole = sign(SETTINGS, None, [KEY])
    forged = whole[:at] + data + whole[at + cut :]
    try:
        found = signers(Contents(SETTINGS, None, forged), frozenset({PUBLIC}))
    except Unusable:
        return
    assert found == {PUBLIC}, "only a mark or spaces were added, or nothing"


def test_keys_are_written_and_read() -> None:
    key = new_key()
    assert read_key(f" {write_key(key)}\r\n") == key
    for text in ("", "x", write_key(key)[:-4], write_key(key + b"1"), "日本"):
        with pytest.raises(NoKey):
            read_key(text)
