"""WADO-RS: the attributes of instances whose DICOM file is kept (PS3.18 10.4.1.1.2).

They are those of the de-identified file. Pixels and other large values are left out.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from appliance.archive.files import Folders
from appliance.archive.index import Index
from appliance.panel.dicomweb.accepting import chosen, ranges
from appliance.panel.dicomweb.asking import NotHere, named
from appliance.panel.dicomweb.searching import MEDIA

LARGE: Final = 4096
"""Bytes of a binary value that is left out."""
_BINARY: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_UTF_8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}
"""Of Specific Character Set, whatever the file is written in."""


def metadata(folders: Folders, index: Index, request: Request, services: str) -> Response:
    """The attributes in the DICOM JSON model. Raises BadRequest, NotHere, or CatalogueFailed."""
    media = chosen(ranges(request), MEDIA)
    if not media:
        return PlainTextResponse(f"only {' and '.join(MEDIA)} are here\n", 406)
    files = index.find_files(folders, *named(request.path_params))
    if not files:
        raise NotHere("there is no such image, or its DICOM file is not kept")
    return StreamingResponse(_streamed(files), media_type=media)


def _streamed(files: Sequence[Path]) -> Iterator[str]:
    """One JSON array, file by file; what retention took since, or is damaged, is left out."""
    yield "["
    separator = ""
    for file in files:
        if (attributes := _attributes(file)) is not None:
            yield separator + attributes
            separator = ","
    yield "]"


def _attributes(file: Path) -> str | None:
    """One JSON object; None if the file cannot be read."""
    # It costs memory that a page without web services need not have.
    from pydicom import dcmread

    try:
        dataset = dcmread(file, stop_before_pixels=True)
    except Exception:
        # Whatever is wrong with one file: the answer has begun, and the others are wanted.
        return None
    attributes = {}
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            if element.VR not in _BINARY or len(element.value or b"") <= LARGE:
                attributes[f"{int(tag):08X}"] = _json(element.to_json_dict(None, LARGE))
        except Exception:
            # A sender's mistake, of any kind: what JSON cannot say is left out, and not all of it.
            continue
    attributes["00080005"] = _json(_UTF_8)
    return "{" + ", ".join(f'"{tag}": {said}' for tag, said in attributes.items()) + "}"


def _json(said: dict[str, Any]) -> str:
    """`said` as JSON. Raises ValueError for a number that is none, or infinite (RFC 8259, 6)."""
    return json.dumps(said, ensure_ascii=False, allow_nan=False)
