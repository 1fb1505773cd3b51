"""Which of the representations that we have a client takes (RFC 9110 12.5.1, PS3.18 8.7)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message

from starlette.requests import Request

MULTIPART = "multipart/related"


@dataclass(frozen=True, slots=True)
class Range:
    """A media range that is accepted; `part` is that of the parts of a multipart one."""

    media: str
    part: str
    quality: float


def ranges(request: Request) -> tuple[Range, ...]:
    """What `request` accepts, the most wanted first; its query goes before its header."""
    text = ",".join(request.query_params.getlist("accept"))
    text = text or ",".join(request.headers.getlist("accept")) or "*/*"
    return tuple(sorted(_ranges(text), key=lambda one: -one.quality))


def chosen(accepted: Sequence[Range], media: Sequence[str], *, multipart: bool = False) -> str:
    """The one of `media` that is wanted most, for the parts if `multipart`; empty if none is."""
    refused = {one.media for one in accepted if one.quality == 0}
    for one in accepted:
        if one.quality == 0:
            continue
        wanted = one.part if multipart and one.media == MULTIPART else one.media
        if one.media == MULTIPART and not multipart:
            continue
        if multipart and one.media not in (MULTIPART, "multipart/*", "*/*"):
            continue
        if multipart and one.media == "multipart/*":
            wanted = "*/*"
        for candidate in media:
            if candidate not in refused and _covers(wanted, candidate):
                return candidate
    return ""


def _covers(wanted: str, media: str) -> bool:
    return wanted in ("*/*", media, f"{media.partition('/')[0]}/*")


def _ranges(text: str) -> Iterator[Range]:
    for part in _split(text):
        header = Message()
        header["content-type"] = part
        media = part.partition(";")[0].strip().lower()
        inner = header.get_param("type")
        yield Range(
            media,
            inner.lower() if isinstance(inner, str) else "*/*",
            _quality(header.get_param("q")),
        )


def _split(text: str) -> Iterator[str]:
    """At commas, but for those between quotes."""
    part, quoted = "", False
    for character in text:
        quoted ^= character == '"'
        if character == "," and not quoted:
            yield part
            part = ""
        else:
            part += character
    yield part


def _quality(text: object) -> float:
    try:
        return min(max(float(str(text)), 0.0), 1.0) if text is not None else 1.0
    except ValueError:
        return 0.0
