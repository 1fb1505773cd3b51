"""The material of the tests: the volume is a CT that others accept, the corpus is there."""

import hashlib
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tools.hospital import corpus, volume
from tools.hospital.peers import program

STUDY = volume.Study(slices=4)


def test_the_volume_is_a_valid_ct(tmp_path: Path) -> None:
    for file in volume.write(STUDY, tmp_path):
        verdict = subprocess.run([program("dciodvfy"), file], capture_output=True, text=True)
        assert verdict.stderr.split() == ["CTImage"]


def test_the_volume_is_the_same_every_time(tmp_path: Path) -> None:
    turns = [volume.write(STUDY, tmp_path / turn) for turn in ("first", "second")]
    first, second = ([hashlib.sha256(f.read_bytes()).digest() for f in turn] for turn in turns)
    assert first == second
    assert len(set(first)) == STUDY.slices


def test_a_slice_has_the_size_and_the_tissue_of_a_ct(tmp_path: Path) -> None:
    file = volume.write(STUDY, tmp_path)[2]
    assert 524_288 < file.stat().st_size < 530_000
    dataset = pydicom.dcmread(file)
    hounsfield = dataset.pixel_array + float(dataset.RescaleIntercept)
    for tissue in (-1000, -860, -90, 45, 280):
        assert (np.abs(hounsfield - tissue) < 20).mean() > 0.001
    assert dataset.PatientName.ideographic == "山田^太郎"


@pytest.mark.filterwarnings("ignore")  # some of the files are broken on purpose
def test_the_corpus_holds_every_modality_it_promises() -> None:
    assert len(corpus.files()) == 260
    modalities = Counter(
        pydicom.dcmread(file, specific_tags=["Modality"]).get("Modality")
        for file in corpus.instances()
    )
    assert {"CT", "MR", "CR", "DX", "US", "NM", "OT", "SR", "ECG"} <= set(modalities)
    assert corpus.file("CT_small.dcm") in corpus.instances()
