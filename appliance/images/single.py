"""Pictures of one DICOM file, as the command line makes them: the same code as the box's own."""

from collections.abc import Iterator
from pathlib import Path

from appliance.archive.files import PendingFile, sync_directories
from appliance.images.encode import Format, encode
from appliance.images.render import Picture, Refusal, render_file

_FORMATS: dict[str, Format] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
}


class NotRendered(ValueError):
    """No picture can be made; the text says why."""


def render_to(source: Path, target: Path, quality: int) -> Iterator[Path]:
    """Write the pictures of `source` and yield their paths.

    One frame goes to `target`; frame n of several to the same name with .000n before the suffix.
    Raises NotRendered.
    """
    format_ = _FORMATS.get(target.suffix.lower())
    if format_ is None:
        raise NotRendered(f"{target}: expected a name that ends in {', '.join(_FORMATS)}")
    if not 1 <= quality <= 100:
        raise NotRendered(f"quality {quality}: expected 1 to 100")
    try:
        for picture in render_file(source):
            path = _path(target, picture)
            with PendingFile.create(path) as pending:
                pending.write([encode(picture.pixels, format_, quality)])
                sync_directories(pending.settle())
            yield path
    except Refusal as refusal:
        raise NotRendered(str(refusal)) from None


def _path(target: Path, picture: Picture) -> Path:
    if picture.frame is None:
        return target
    return target.with_name(f"{target.stem}.{picture.frame:04d}{target.suffix}")
