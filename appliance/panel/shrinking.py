"""Smaller pictures, made of those that are held when somebody asks for one."""

import io
from pathlib import Path


def shrunk(file: Path, within: tuple[int, int] | None, form: str, quality: int) -> bytes:
    """The picture in `file` anew in `form` (Pillow's name), of an animation its first frame.

    It keeps its shape, fits `within` that many pixels, and never grows; None: as large as it is.
    Raises OSError if it is gone or cannot be read.
    """
    # It costs memory that a page at which nobody looks need not have.
    from PIL import Image

    out = io.BytesIO()
    try:
        with Image.open(file) as image:
            if within:
                # A JPEG is decoded at an eighth to the whole of its size: large ones cost little.
                image.draft(None, within)
                image.thumbnail(within)
            kept = image if image.mode in ("L", "RGB") else image.convert("RGB")
            kept.save(out, form, quality=quality)
    except (SyntaxError, ValueError, EOFError) as error:  # So Pillow says that a file is damaged.
        raise OSError(f"{file.name}: {error}") from error
    return out.getvalue()
