"""One DICOM file's pictures, or its pixels without text, as the command line makes them.

The same code as the box's own.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from appliance.archive.files import ANIMATION_SUFFIX, PendingFile, sync_directories
from appliance.images.animation import Reel
from appliance.images.encode import Format, NotEncodable, encode, obstacle
from appliance.images.masking import Masking
from appliance.images.render import Limits, Picture, Refusal, render_file

_FORMATS: dict[str, Format] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
}


_NOT_RENDERED = 3


class NotRendered(ValueError):
    """No picture can be made; the text says why."""


def render_to(source: Path, target: Path, quality: int) -> Iterator[Path]:
    """Write the pictures of `source` and yield their paths.

    One frame goes to `target`; frame n of several to the same name with .000n before the suffix,
    and their animation to the same name with the suffix .webp. Raises NotRendered.
    """
    format_ = _FORMATS.get(target.suffix.lower())
    if format_ is None:
        raise NotRendered(f"{target}: expected a name that ends in {', '.join(_FORMATS)}")
    if not 1 <= quality <= 100:
        raise NotRendered(f"quality {quality}: expected 1 to 100")
    animated = target.with_suffix(ANIMATION_SUFFIX)
    try:
        with Reel(animated, wanted=not obstacle("webp")) as reel:
            for picture in render_file(source):
                path = _path(target, picture)
                with PendingFile.create(path) as pending:
                    pending.write([encode(picture.pixels, format_, quality)])
                    sync_directories(pending.settle())
                reel.add(picture)
                yield path
            film = reel.film()
        if film is not None:
            sync_directories(film.file.settle())
            yield animated
    except (Refusal, NotEncodable) as refusal:
        raise NotRendered(str(refusal)) from None


def render_apart(source: Path, target: Path, quality: int) -> tuple[Path, ...]:
    """`render_to` in a process of its own: some decoders end the process on a damaged file.

    Raises NotRendered.
    """
    command = [sys.executable, "-m", __name__, str(source), str(target), str(quality)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == _NOT_RENDERED:
        raise NotRendered(ended.stderr.strip())
    if ended.returncode:
        raise NotRendered("the decoder cannot cope with this file: its process ended")
    return tuple(Path(line) for line in ended.stdout.splitlines())


def mask_apart(path: Path, *, bits: bool) -> None:
    """Black out text in the pixels of a DICOM file where a rule of the package names it.

    bits: whether bits beside the stored ones are cleared. In a process of its own, as
    `render_apart`. Raises NotRendered, whose text says why the pixels are still as they were.
    """
    command = [sys.executable, "-m", __name__, str(path), "bits" if bits else ""]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == _NOT_RENDERED:
        raise NotRendered(ended.stderr.strip())
    if ended.returncode:
        raise NotRendered("the decoder cannot cope with this file: its process ended")


def _main(*arguments: str) -> int:
    try:
        if len(arguments) == 2:
            Masking(bits=arguments[1] == "bits").file(Path(arguments[0]), Limits())
            return 0
        source, target, quality = arguments
        for path in render_to(Path(source), Path(target), int(quality)):
            print(path)
    except (NotRendered, Refusal, OSError) as error:
        print(error, file=sys.stderr)
        return _NOT_RENDERED
    return 0


def _path(target: Path, picture: Picture) -> Path:
    if picture.frame is None:
        return target
    return target.with_name(f"{target.stem}.{picture.frame:04d}{target.suffix}")


if __name__ == "__main__":
    raise SystemExit(_main(*sys.argv[1:]))
