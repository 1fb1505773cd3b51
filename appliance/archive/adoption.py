"""Which pictures on disk belong to which instance: enough to give them rows again."""

import errno
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.archive.files import ANIMATION_SUFFIX, PICTURE_SUFFIXES, is_uid
from appliance.archive.pictures import dimensions
from appliance.archive.records import PictureRow

Found = dict[str, os.stat_result]
"""The files of a folder, by name."""

UNREADABLE: Final = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG})
"""Errors of a disk that has lost what a file held."""

_FRAME: Final = re.compile(r"(?P<instance>.+)\.(?P<frame>0\d{3}|[1-9]\d{3,8})")
"""As `picture_name` writes them; a Number of Frames of ten digits would fit on no disk."""


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture's file, by what its name says."""

    name: str
    frame: int | None
    suffix: str


def pictures_by_instance(
    names: Iterable[str], known: Collection[str]
) -> dict[str, list[FoundPicture]]:
    """The pictures of each instance of a series; names that are of none are under "".

    `<instance>.1000.jpg` may be frame 1000 of one instance or the only frame of another. It is the
    latter if that instance is in `known`, or if the former has no frame 1.
    """
    every = dict.fromkeys(names)
    found: dict[str, list[FoundPicture]] = {}
    for name in every:
        stem, suffix = os.path.splitext(name)
        frame = None if stem in known else _FRAME.fullmatch(stem)
        if suffix not in PICTURE_SUFFIXES or not is_uid(stem):
            found.setdefault("", []).append(FoundPicture(name, None, suffix))
        elif frame is not None and (
            frame["frame"].startswith("0") or f"{frame['instance']}.0001{suffix}" in every
        ):
            picture = FoundPicture(name, int(frame["frame"]), suffix)
            found.setdefault(frame["instance"], []).append(picture)
        else:
            found.setdefault(stem, []).append(FoundPicture(name, None, suffix))
    return found


def whole_set(
    folder: Path, files: Found, pictures: Iterable[FoundPicture], frames: int | None, since: int
) -> tuple[PictureRow, ...]:
    """Rows for the pictures of one instance, if there is one of each of its frames.

    `frames` None: as many as there are. Pictures count if they are pictures, and none is older than
    `since` (ns since 1970). Empty if no suffix has a whole set; an animation beside one comes
    last. Raises OSError.
    """
    pictures = list(pictures)
    moving = _animation(pictures)
    if moving is not None:
        pictures.remove(moving)
        still = whole_set(folder, files, pictures, frames, since)
        return still + whole_set(folder, files, [moving], None, since) if still else ()
    by_suffix: dict[str, dict[int | None, str]] = {}
    for picture in pictures:
        by_suffix.setdefault(picture.suffix, {})[picture.frame] = picture.name
    for suffix, names in by_suffix.items():
        if set(names) not in _wanted_frames(frames, len(names)):
            continue
        if any(files[name].st_mtime_ns < since for name in names.values()):
            continue
        rows = [
            PictureRow(frame, *size, files[name].st_size, suffix)
            for frame, name in sorted(names.items(), key=lambda item: item[0] or 0)
            if (size := _size(folder / name)) is not None
        ]
        if len(rows) == len(names):
            return tuple(rows)
    return ()


def _size(picture: Path) -> tuple[int, int] | None:
    """Width and height; None also of what the disk cannot read any more: it is made anew."""
    try:
        return dimensions(picture)
    except OSError as error:
        if error.errno in UNREADABLE:
            return None
        raise


def _animation(pictures: Collection[FoundPicture]) -> FoundPicture | None:
    """The one of the whole instance, where there are some of its frames as well."""
    if all(picture.frame is None for picture in pictures):
        return None
    whole = (one for one in pictures if one.frame is None and one.suffix == ANIMATION_SUFFIX)
    return next(whole, None)


def _wanted_frames(frames: int | None, found: int) -> tuple[set[int | None], ...]:
    if frames is not None and frames not in (1, found):
        return ()
    numbered: set[int | None] = set(range(1, (frames or found) + 1))
    return ({None}, numbered) if frames is None or frames == 1 else (numbered,)
