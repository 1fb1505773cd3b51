"""Which transfer syntaxes are really decoded here: a tiny sample of each is decoded and compared.

Decoders come and go with the libraries a machine has, and are wrong at times; what is negotiated on
the wire is what was proved at start. The proof loads every image library, so it has a process of
its own: `prove_in_subprocess`, or `python -m appliance.images.decoders`, which prints one JSON
object a line. The samples, and how they were made, are in `decoder_samples.toml`.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from appliance.images.child import command, environment

if TYPE_CHECKING:
    import numpy as np

    from appliance.settings.model import Profile

_ROWS, _COLUMNS = 12, 16
_PATIENCE = 120.0
"""Seconds for one proof. The first one loads every library, which takes a slow box half of them."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a transfer syntax is decoded, by which decoder, and if not, why not."""

    transfer_syntax: str
    name: str
    decoder: str
    works: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A DICOM file of one transfer syntax, and what its pixels are, to within `tolerance`."""

    transfer_syntax: str
    name: str
    pattern: str
    tolerance: int
    file: bytes


def samples() -> tuple[Sample, ...]:
    """All samples, in the order in which they are proved."""
    text = files("appliance.images").joinpath("decoder_samples.toml").read_text("ascii")
    return tuple(
        Sample(
            transfer_syntax=one["transfer_syntax"],
            name=one["name"],
            pattern=one["pattern"],
            tolerance=one["tolerance"],
            file=base64.b64decode(one["file"]),
        )
        for one in tomllib.loads(text)["sample"]
    )


def prove(transfer_syntaxes: Sequence[str] = ()) -> tuple[Proof, ...]:
    """Decode the samples of these transfer syntaxes, or all, in this process."""
    return tuple(_proofs(transfer_syntaxes))


def prove_in_subprocess(timeout: float = _PATIENCE) -> tuple[Proof, ...]:
    """`prove` in a process that ends with it.

    A decoder that crashes, or is not done within `timeout` seconds of the one before, is one that
    does not work; the proof goes on after it.
    """
    names = {sample.transfer_syntax: sample.name for sample in samples()}
    left = list(names)
    proofs: list[Proof] = []
    while left:
        done, end = _run(left, timeout)
        proofs.extend(done)
        left = left[len(done) :]
        if left:
            culprit = left.pop(0)
            proofs.append(Proof(culprit, names[culprit], "", False, end))
    return tuple(proofs)


class Proving:
    """The proof in a process of its own, begun when this is made; other work goes on beside it."""

    def __init__(self, profile: Profile) -> None:
        """`strict` accepts nothing that would have to be proved."""
        self._proofs: tuple[Proof, ...] = ()
        self._thread = threading.Thread(target=self._prove, name="proving", daemon=True)
        self._begun = profile == "broad"
        if self._begun:
            self._thread.start()

    def result(self) -> tuple[Proof, ...]:
        """Wait for the proofs; none if nothing is to be proved."""
        if self._begun:
            self._thread.join()
        return self._proofs

    def _prove(self) -> None:
        self._proofs = prove_in_subprocess()


def _run(transfer_syntaxes: Sequence[str], timeout: float) -> tuple[list[Proof], str]:
    """The proofs a new process made, and how it ended if it did not make all of them."""
    program = command("appliance.images.decoders", *transfer_syntaxes)
    output = b""
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        assert process.stdout is not None
        while select.select([process.stdout], [], [], timeout)[0]:
            received = os.read(process.stdout.fileno(), 65536)
            if not received:
                end = f"its decoder ended the process (status {process.wait()})"
                break
            output += received
        else:
            process.kill()
            end = f"its decoder was not done within {timeout:g} s"
    whole = output[: output.rfind(b"\n") + 1]
    return [Proof(**json.loads(line)) for line in whole.splitlines()], end


def _proofs(transfer_syntaxes: Sequence[str]) -> Iterator[Proof]:
    by_syntax: dict[str, list[Sample]] = {}
    for sample in samples():
        by_syntax.setdefault(sample.transfer_syntax, []).append(sample)
    for syntax, shown in by_syntax.items():
        if not transfer_syntaxes or syntax in transfer_syntaxes:
            yield _proof(shown)


def _proof(shown: Sequence[Sample]) -> Proof:
    """What the samples of one transfer syntax prove: all of them are to be decoded."""
    # Imported here: to name the proofs of another process, no image library is needed.
    from appliance.images.render import codecs

    syntax, name = shown[0].transfer_syntax, shown[0].name
    reason = next((wrong for sample in shown if (wrong := _wrong(sample))), "")
    return Proof(syntax, name, codecs.decoder_of(syntax), not reason, reason)


def _wrong(sample: Sample) -> str:
    """Why a sample is not decoded as it should be; "" if it is."""
    from appliance.images.render import Refusal
    from appliance.images.render.decode import stored_values

    try:
        (values,) = stored_values(sample.file)
        return _difference(values, sample)
    except Refusal as refusal:
        return refusal.reason
    except Exception as error:  # whatever a library raises, it does not decode
        return f"{type(error).__name__}: {error}"


def _difference(values: np.ndarray[Any, Any], sample: Sample) -> str:
    """What is wrong with decoded values; "" if nothing is."""
    import numpy as np

    expected = _expected(sample.pattern)
    if values.shape != expected.shape:
        return f"decoded to an array of shape {values.shape}"
    worst = int(np.abs(values.astype(np.int64) - expected).max())
    return "" if worst <= sample.tolerance else f"decoded values are wrong by up to {worst}"


def _expected(pattern: str) -> np.ndarray[Any, Any]:
    import numpy as np

    y, x = np.mgrid[:_ROWS, :_COLUMNS]
    shapes = {
        "sharp": (211 * x + 977 * y) % 4096 - 2048,
        "raised": (211 * x + 977 * y) % 4096,
        "smooth8": 10 * x + 5 * y,
        "smooth12": 160 * x + 80 * y,
        "colour": np.stack([10 * x + 5 * y, 255 - 12 * x - 4 * y, x + 8 * y], axis=-1),
    }
    expected: np.ndarray[Any, Any] = shapes[pattern]
    return expected


def _main(transfer_syntaxes: Sequence[str]) -> None:
    for proof in _proofs(transfer_syntaxes):
        print(json.dumps(asdict(proof)), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
