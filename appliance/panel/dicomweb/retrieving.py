"""WADO-RS: the pictures of studies, series, instances and frames (PS3.18 Section 10.4.1.1.3).

They were rendered when the instances came, and are sent as they are held. A smaller one, for a
thumbnail or a viewport, is made here.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from appliance.archive.files import Folders
from appliance.archive.index import HeldPicture, Index
from appliance.panel.dicomweb.accepting import chosen, ranges
from appliance.panel.dicomweb.asking import BadRequest, NotHere, named
from appliance.panel.shrinking import shrunk

MEDIA: Final = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
SCALED: Final = {"image/jpeg": "JPEG", "image/png": "PNG"}
"""In which a smaller picture is made, by Pillow's names."""

THUMBNAIL: Final = (128, 128)
"""Pixels within which a thumbnail is, unless a viewport is asked for."""
LARGEST: Final = 8192
"""Pixels of a viewport's side."""
FRAMES: Final = 10_000

_UNMADE: Final = ("window", "annotation", "iccprofile", "charset")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pictures that a request names, and how it wants them."""

    pictures: tuple[HeldPicture, ...]
    animation: HeldPicture | None
    """Of the one instance with several frames that is named."""
    viewport: tuple[int, int] | None
    quality: int


def rendered(folders: Folders, index: Index, request: Request, services: str) -> Response:
    """The pictures: one as it is, several as parts. Raises BadRequest, NotHere, CatalogueFailed."""
    wanted = _wanted(index, folders, request)
    if len(wanted.pictures) == 1:
        (picture,) = wanted.pictures
        if wanted.viewport or "quality" in request.query_params:
            return _smaller(picture, wanted.viewport, wanted.quality, request)
        if _is_accepted(picture, request):
            return _whole(picture)
    elif wanted.viewport or "quality" in request.query_params:
        raise BadRequest("viewport and quality are for one picture: ask for frames one by one")
    kinds = sorted({MEDIA[picture.suffix] for picture in wanted.pictures})
    accepted = ranges(request)
    if all(chosen(accepted, (kind,), multipart=True) for kind in kinds):
        return _parts(wanted.pictures, kinds[0], services)
    if wanted.animation and _is_accepted(wanted.animation, request):
        return _whole(wanted.animation)
    return _not_acceptable(f'multipart/related; type="{kind}"' for kind in kinds)


def thumbnail(folders: Folders, index: Index, request: Request, services: str) -> Response:
    """A small picture of the one in the middle. Raises BadRequest, NotHere, CatalogueFailed."""
    wanted = _wanted(index, folders, request)
    # The first of a volume is often empty air.
    picture = wanted.pictures[len(wanted.pictures) // 2]
    return _smaller(picture, wanted.viewport or THUMBNAIL, wanted.quality, request)


def _wanted(index: Index, folders: Folders, request: Request) -> Wanted:
    path, query = request.path_params, request.query_params
    for name in _UNMADE:
        if name in query:
            raise BadRequest(f"{name} is not supported: pictures are made when images arrive")
    held = index.find_pictures(folders, *named(path))
    pictures = tuple(picture for picture in held if picture.frame)
    animation = next((picture for picture in held if not picture.frame), None)
    if "frames" in path:
        pictures, animation = _frames(pictures, path["frames"]), None
    if not pictures:
        raise NotHere("there is no such image, or it has no picture (yet)")
    if "instance" not in path:
        animation = None
    viewport, quality = _viewport(query.get("viewport")), _quality(query.get("quality"))
    return Wanted(pictures, animation, viewport, quality)


def _frames(pictures: Sequence[HeldPicture], text: str) -> tuple[HeldPicture, ...]:
    numbers = text.split(",")
    if len(numbers) > FRAMES or not all(
        one.isascii() and one.isdigit() and len(one) < 9 for one in numbers
    ):
        raise BadRequest("frames are whole numbers with commas between")
    by_number = {picture.frame: picture for picture in reversed(pictures)}
    try:
        return tuple(by_number[int(number)] for number in numbers)
    except KeyError:
        raise NotHere("there is no such frame, or it has no picture (yet)") from None


def _viewport(text: str | None) -> tuple[int, int] | None:
    """Width and height within which a picture is to be (PS3.18 8.3.5.1.3); no part of it."""
    if text is None:
        return None
    sides = text.split(",")
    if len(sides) != 2 or not all(one.isascii() and one.isdigit() for one in sides):
        raise BadRequest("viewport is two whole numbers, width and height, with a comma between")
    width, height = (int(one[:9]) for one in sides)
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise BadRequest(f"viewport: each side is 1 to {LARGEST} pixels")
    return width, height


def _quality(text: str | None) -> int:
    if text is None:
        return 90
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 100):
        raise BadRequest("quality is a whole number, 1 to 100")
    return int(text)


def _smaller(
    picture: HeldPicture, viewport: tuple[int, int] | None, quality: int, request: Request
) -> Response:
    media = chosen(ranges(request), tuple(SCALED))
    if not media:
        return _not_acceptable(SCALED)
    _status(picture.file)
    try:
        content = shrunk(picture.file, viewport, SCALED[media], quality)
    except OSError:
        raise NotHere("the picture is damaged on the disk") from None
    return Response(content, media_type=media)


def _is_accepted(picture: HeldPicture, request: Request) -> bool:
    return bool(chosen(ranges(request), (MEDIA[picture.suffix],)))


def _whole(picture: HeldPicture) -> Response:
    status = _status(picture.file)
    return FileResponse(picture.file, media_type=MEDIA[picture.suffix], stat_result=status)


def _parts(pictures: Sequence[HeldPicture], kind: str, services: str) -> Response:
    """All pictures, each a part (RFC 2387); `kind` is that of the first."""
    boundary = secrets.token_hex(16)
    media = f'multipart/related; type="{kind}"; boundary={boundary}'
    return StreamingResponse(
        _streamed(pictures, boundary, services), headers={"Content-Type": media}
    )


async def _streamed(
    pictures: Sequence[HeldPicture], boundary: str, services: str
) -> AsyncIterator[bytes]:
    for picture in pictures:
        # What retention took since cannot be told any more: the connection breaks off.
        content = await run_in_threadpool(picture.file.read_bytes)
        head = (
            f"--{boundary}\r\nContent-Type: {MEDIA[picture.suffix]}\r\n"
            f"Content-Length: {len(content)}\r\nContent-Location: {_location(picture, services)}"
        )
        yield head.encode() + b"\r\n\r\n" + content + b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _location(picture: HeldPicture, services: str) -> str:
    instance = f"{picture.series}/instances/{picture.instance}"
    return f"{services}/studies/{picture.study}/series/{instance}/frames/{picture.frame}/rendered"


def _status(file: Path) -> os.stat_result:
    try:
        return file.stat()
    except OSError:
        raise NotHere("the picture is gone") from None


def _not_acceptable(kinds: Iterable[str]) -> Response:
    return Response(f"only {', '.join(kinds)} can be had\n", 406, media_type="text/plain")
