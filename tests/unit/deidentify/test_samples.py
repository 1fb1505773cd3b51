"""The labelled samples: nothing that is labelled is left in the twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import labelled_samples


@pytest.mark.filterwarnings("ignore")
def test_no_label_of_a_sample_is_in_its_twin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled_samples.main(tmp_path)
    written = [line.split() for line in capsys.readouterr().out.splitlines()]
    modalities = {Path(source).stem for source, _ in written}
    assert {"CR", "CT", "DX", "MG", "MR", "NM", "PT", "RF", "US", "XA", "XC"} <= modalities
    for source, twin in written:
        modality = Path(source).stem
        mark = f"{modality}-01_".encode()
        assert Path(source).read_bytes().count(mark) > 20, modality
        assert mark not in Path(twin).read_bytes(), modality
        page = (tmp_path / f"{modality}.html").read_text("utf-8")
        assert f"{modality}-01_Patient&#x27;s Name" in page
