#!/usr/bin/env python3
"""Make a set of samples for de-identification: `tools/labelled_samples.py FOLDER`.

For each modality of which a file is at hand (those that the test dependencies bring, and those that
are made for them), FOLDER holds one file in which every text that the profile treats says which
attribute it is of (`CT-01_Patient's Name`), its twin, de-identified, and a page that explains what
was done. Run it with the interpreter of the environment. As the committee's own set, it lets one
see at a glance what became of each attribute.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import Dataset, FileDataset, dcmread
from pydicom.datadict import dictionary_description, dictionary_has_tag, dictionary_VR

sys.path.insert(0, str(Path(__file__).parent.parent))

from appliance.images.deidentify import (
    Deidentifier,
    Malformed,
    as_html,
    deidentify_file,
    explain,
)
from appliance.images.deidentify.table import read_table
from tools.hospital import corpus

LONGEST = {"SH": 16, "LO": 64, "PN": 64, "LT": 10240, "ST": 1024, "UC": 1024, "UT": 1024}
"""VRs that can hold a label, and how much of it."""

ADDED_GROUPS = (0x0008, 0x0010, 0x0032, 0x0038)
"""Of these groups every text of the table is put in, if a sample lacks it."""

KEY = b"labelled samples are no secret"


def main(target: Path) -> None:
    """Write the set."""
    target.mkdir(parents=True, exist_ok=True)
    deidentifier = Deidentifier("basic", KEY)
    with TemporaryDirectory() as further:
        samples = [*corpus.instances(), *corpus.further(Path(further))]
        for modality, path in sorted(one_of_each(samples).items()):
            write(path, modality, target, deidentifier)


def write(path: Path, modality: str, target: Path, deidentifier: Deidentifier) -> None:
    """Write the labelled file of a modality, its twin, and the page."""
    source, twin = target / f"{modality}.dcm", target / f"{modality}-deidentified.dcm"
    dataset = dcmread(path)
    label(dataset, f"{modality}-01_")
    add_missing(dataset, f"{modality}-01_")
    dataset.save_as(source, enforce_file_format=True)
    after = deidentify_file(
        source,
        deidentifier=deidentifier,
        implementation_class_uid="2.25.301",
        implementation_version_name="NETTY_SAMPLES",
    )
    twin.write_bytes(after)
    lines = tuple(explain(source.read_bytes(), after))
    (target / f"{modality}.html").write_text(as_html(lines, f"{modality}, basic"), "utf-8")
    print(source, twin)


def one_of_each(samples: Iterable[Path]) -> dict[str, Path]:
    """The smallest fit file of each modality."""
    found: dict[str, Path] = {}
    for path in sorted(samples, key=lambda path: (path.stat().st_size, path.name)):
        modality = str(dcmread(path, stop_before_pixels=True).get("Modality", ""))
        if modality.isalnum() and modality not in found and fit(path):
            found[modality] = path
    return found


def fit(path: Path) -> bool:
    """Whether a file can be written anew, and de-identified."""
    try:
        label(dcmread(path), "")
        deidentify_file(
            path,
            deidentifier=Deidentifier("basic", KEY),
            implementation_class_uid="2.25.301",
            implementation_version_name="NETTY_SAMPLES",
        )
    except (Malformed, ValueError, KeyError, EOFError, NotImplementedError):
        return False
    return True


def label(dataset: Dataset, prefix: str) -> None:
    """Write into each text of the table, at every depth, which attribute it is of."""
    named = {row.tag for row in read_table()}
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                label(item, prefix)
        elif element.VR in LONGEST and int(element.tag) in named:
            element.value = text_for(int(element.tag), element.VR, prefix)


def add_missing(dataset: FileDataset, prefix: str) -> None:
    """Put in the texts of the table that a sample lacks."""
    for row in read_table():
        if row.tag >> 16 not in ADDED_GROUPS or not dictionary_has_tag(row.tag):
            continue
        vr = dictionary_VR(row.tag)
        if vr in LONGEST and row.tag not in dataset:
            dataset.add_new(row.tag, vr, text_for(row.tag, vr, prefix))


def text_for(tag: int, vr: str, prefix: str) -> str:
    """The label of an attribute, as long as its VR allows."""
    return f"{prefix}{dictionary_description(tag)}"[: LONGEST[vr]].strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
