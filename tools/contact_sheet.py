#!/usr/bin/env python3
"""Make a contact sheet of DICOM files: `tools/contact_sheet.py OUT.jpg [FILE_OR_FOLDER...]`.

Each instance is rendered as the box renders it and shown with its modality and its name; of
several frames the middle one. One that is refused is shown as its reason; those that have nothing
to show are counted. Without files: those that the test dependencies bring, and those that are made
for them. Run it with the interpreter of the environment.
"""

from __future__ import annotations

import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageDraw
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parent.parent))

from appliance.images.render import NoPicture, Undecodable, render_file
from tools.hospital import corpus

TILE = 120
CAPTION = 18
COLUMNS = 14
MOST_FRAMES = 40
"""Frames of an instance that are rendered to find one in its middle."""

_PAPER, _GROUND, _INK, _QUIET = (246, 245, 241), (0, 0, 0), (30, 33, 38), (120, 124, 130)


@dataclass(frozen=True, slots=True)
class Tile:
    """One instance on the sheet: its picture, or why it was refused."""

    name: str
    modality: str
    picture: Image.Image | None
    reason: str = ""


def tile(path: Path) -> Tile | None:
    """The tile of a DICOM file; None if it has nothing to show."""
    modality = _modality(path)
    try:
        pictures = list(islice(render_file(path), MOST_FRAMES))
    except NoPicture:
        return None
    except Undecodable as refusal:
        return Tile(path.stem, modality, None, refusal.reason)
    image = Image.fromarray(pictures[len(pictures) // 2].pixels).convert("RGB")
    return Tile(path.stem, modality, _fitted(image))


def _fitted(image: Image.Image) -> Image.Image:
    """As large as a tile: reduced smoothly, or enlarged so that its pixels can be counted."""
    scale = TILE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image.resize((width, height), smooth)


def sheet(tiles: Iterable[Tile]) -> Image.Image:
    """All tiles, row by row."""
    shown = list(tiles)
    rows = -(-len(shown) // COLUMNS)
    gap = 8
    width, height = TILE + gap, TILE + CAPTION + gap
    paper = Image.new("RGB", (COLUMNS * width + gap, rows * height + gap), _PAPER)
    pen = ImageDraw.Draw(paper)
    for index, one in enumerate(shown):
        left, top = gap + index % COLUMNS * width, gap + index // COLUMNS * height
        _draw(paper, pen, one, left, top)
    return paper


def _draw(paper: Image.Image, pen: ImageDraw.ImageDraw, one: Tile, left: int, top: int) -> None:
    ground = (left, top, left + TILE - 1, top + TILE - 1)
    if one.picture is None:
        pen.rectangle(ground, outline=(214, 212, 205))
        text = "\n".join(textwrap.wrap(one.reason.replace("×", "x"), 19)[:9])
        pen.multiline_text((left + 8, top + 8), text, fill=_QUIET)
    else:
        pen.rectangle(ground, fill=_GROUND)
        x = left + (TILE - one.picture.width) // 2
        paper.paste(one.picture, (x, top + (TILE - one.picture.height) // 2))
    pen.text((left, top + TILE + 3), one.modality, fill=_INK)
    indent = int(pen.textlength(f"{one.modality}  ")) if one.modality else 0
    pen.text((left + indent, top + TILE + 3), one.name[:16], fill=_QUIET)


def _modality(path: Path) -> str:
    try:
        return str(dcmread(path, stop_before_pixels=True, force=True).get("Modality", ""))
    except Exception:  # what cannot be read at all is refused with a reason below
        return ""


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(path for path in place.rglob("*") if path.is_file())
        else:
            yield place


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 0 if arguments else 2
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        given = list(_files(map(Path, arguments[1:])))
        files = given or [*corpus.files(), *corpus.further(Path(folder))]
        tiles = [one for one in map(tile, files) if one is not None]
    if not tiles:
        print("contact_sheet: none of these files has anything to show", file=sys.stderr)
        return 1
    sheet(sorted(tiles, key=lambda one: (one.modality, one.name))).save(arguments[0], quality=80)
    refused = sum(one.picture is None for one in tiles)
    print(
        f"{arguments[0]}: {len(tiles) - refused} pictures, {refused} refused, "
        f"{len(files) - len(tiles)} with nothing to show"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
