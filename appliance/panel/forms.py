"""What a browser sends of a form, within limits."""

from collections.abc import Mapping
from typing import Final
from unicodedata import category
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST: Final = 8192
"""Bytes of a form."""
MOST_FIELDS: Final = 20
KIND: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, each once. Raises HTTPException: 415, 413 or 400."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != KIND:
        raise HTTPException(415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise HTTPException(400) from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or not all(map(is_text, fields.values())):
        raise HTTPException(400)
    return fields


def is_text(value: str) -> bool:
    """Whether a field may hold `value`: letters, and spaces as keyboards and tables have them."""
    return all(
        letter.isprintable() or letter == "\t" or category(letter) == "Zs" for letter in value
    )
