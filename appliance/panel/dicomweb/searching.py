"""QIDO-RS: studies, series and instances are searched (PS3.18 Section 10.6)."""

import json
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from appliance.archive.index import Index, Level
from appliance.panel.dicomweb.accepting import chosen, ranges
from appliance.panel.dicomweb.asking import MOST, Asked, asked
from appliance.panel.dicomweb.attributes import Json, of_instance, of_series, of_study

MEDIA: Final = ("application/dicom+json", "application/json")


def search(level: Level, index: Index, request: Request, services: str) -> Response:
    """The answer to a search; `services` is the address of the web services.

    Raises BadRequest, or CatalogueFailed.
    """
    media = chosen(ranges(request), MEDIA)
    if not media:
        return Response(f"only {' and '.join(MEDIA)} are here\n", 406, media_type="text/plain")
    path = {_KEYWORDS[name]: uid for name, uid in request.path_params.items()}
    wanted = asked(level, request.query_params.multi_items(), path)
    found, more = _found(index, level, wanted, services)
    warnings = [*wanted.warnings]
    if more:
        warnings.append(f"There are additional results that can be requested; {MOST} at a time")
    headers = {"Warning": ", ".join(f'299 netty "{one}"' for one in warnings)} if warnings else {}
    if not found:
        return Response(status_code=204, headers=headers)
    return Response(json.dumps(found, ensure_ascii=False), media_type=media, headers=headers)


def _found(index: Index, level: Level, wanted: Asked, services: str) -> tuple[Sequence[Json], bool]:
    """The results, and whether there are more than were asked for."""
    if not wanted.limit:
        return (), False
    ask = (wanted.keys, wanted.limit + 1, wanted.offset)
    results: list[Json]
    if level == "study":
        results = [of_study(one, services) for one in index.find_studies(*ask)]
    elif level == "series":
        results = [of_series(one, services) for one in index.find_series(*ask)]
    else:
        results = [of_instance(one, services) for one in index.find_instances(*ask)]
    return results[: wanted.limit], len(results) > wanted.limit


_KEYWORDS: Final = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
