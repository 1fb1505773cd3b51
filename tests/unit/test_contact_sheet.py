"""The tool that shows what becomes of many files at a glance."""

from pathlib import Path

import pytest
from PIL import Image

from tools import contact_sheet
from tools.hospital import corpus


def test_pictures_refusals_and_what_has_nothing_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("CT_small.dcm", "MR_truncated.dcm", "rtplan.dcm")
    sheet = tmp_path / "sheet.png"
    assert contact_sheet.main([str(sheet), *(str(corpus.file(name)) for name in names)]) == 0
    assert "1 pictures, 1 refused, 1 with nothing to show" in capsys.readouterr().out
    with Image.open(sheet) as made:
        colours = made.convert("L").crop((8, 8, 128, 128)).getextrema()
    assert colours == (0, 255) or colours[1] - colours[0] > 150, "the CT is not to be seen"


def test_a_small_picture_is_enlarged_and_a_large_one_reduced() -> None:
    for size in ((3, 2), (3000, 2000)):
        assert contact_sheet._fitted(Image.new("RGB", size)).size == (120, 80)


def test_nothing_to_show_at_all(tmp_path: Path) -> None:
    plan = str(corpus.file("rtplan.dcm"))
    assert contact_sheet.main([str(tmp_path / "sheet.png"), plan]) == 1
