"""The proof of decoders: what works is proved, what does not says why, a crash is one of these."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest

from appliance.images import decoders
from appliance.images.decoders import Proof, prove, prove_in_subprocess, samples
from appliance.images.render import codecs

SYNTAXES = list(dict.fromkeys(sample.transfer_syntax for sample in samples()))

# What the broad profile rests on; the others are welcome.
NEEDED = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
}


def test_every_needed_syntax_is_proved_in_a_process_of_its_own() -> None:
    proofs = prove_in_subprocess()
    assert {proof.transfer_syntax for proof in proofs if proof.works} >= NEEDED
    assert all(proof.decoder for proof in proofs if proof.works)
    assert [p.transfer_syntax for p in proofs] == SYNTAXES


def test_naming_proofs_loads_no_image_library() -> None:
    code = (
        "import sys, appliance.images.decoders, appliance.images.pool, appliance.images.encode;"
        "print([m for m in ('numpy', 'gdcm', 'PIL', 'pydicom') if m in sys.modules])"
    )
    root = Path(decoders.__file__).parents[2]
    ended = run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert ended.stdout.strip() == "[]"


def test_wrong_pixels_are_not_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    explicit = samples()[1]
    changed = bytearray(explicit.file)
    changed[-1] ^= 1
    monkeypatch.setattr(decoders, "samples", lambda: (replace(explicit, file=bytes(changed)),))
    (proof,) = prove()
    assert not proof.works
    assert proof.reason == "decoded values are wrong by up to 256"


def test_a_decoder_that_raises_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such codec")

    monkeypatch.setattr(codecs, "run_length", broken)
    (proof,) = prove(["1.2.840.10008.1.2.5"])
    assert proof == Proof(
        "1.2.840.10008.1.2.5", "RLE Lossless", proof.decoder, False, "RuntimeError: no such codec"
    )


def test_a_decoder_that_crashes_or_hangs_does_not_end_the_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process is replaced by one that dies on one syntax, and hangs on another."""
    program = """
import os, sys, time
from appliance.images import decoders
for syntax in sys.argv[1:]:
    if syntax.endswith(".5"):
        os.kill(os.getpid(), 11)
    if syntax.endswith(".50"):
        time.sleep(60)
    decoders._main([syntax])
"""
    monkeypatch.setattr(
        decoders, "command", lambda _, *syntaxes: [sys.executable, "-c", program, *syntaxes]
    )
    proofs = {proof.transfer_syntax: proof for proof in prove_in_subprocess(timeout=10)}
    assert list(proofs) == SYNTAXES
    crashed, hung = proofs["1.2.840.10008.1.2.5"], proofs["1.2.840.10008.1.2.4.50"]
    assert not crashed.works and "status -11" in crashed.reason
    assert not hung.works and "not done within 10 s" in hung.reason
    assert proofs["1.2.840.10008.1.2.4.90"].works
