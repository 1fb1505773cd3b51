"""The routes of the web services, below `/dicomweb`."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from appliance.archive.files import Folders
from appliance.archive.index import Index, Level
from appliance.archive.records import CatalogueFailed
from appliance.panel.dicomweb.asking import BadRequest, NotHere
from appliance.panel.dicomweb.metadata import metadata
from appliance.panel.dicomweb.retrieving import rendered, thumbnail
from appliance.panel.dicomweb.searching import search

PREFIX: Final = "/dicomweb"

Endpoint = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Index, Request, str], Response]

_STUDY: Final = "/studies/{study}"
_SERIES: Final = f"{_STUDY}/series/{{series}}"
_INSTANCE: Final = f"{_SERIES}/instances/{{instance}}"
_FRAMES: Final = f"{_INSTANCE}/frames/{{frames}}"
_SEARCHES: Final[Mapping[str, Level]] = {
    "/studies": "study",
    "/series": "series",
    f"{_STUDY}/series": "series",
    "/instances": "instance",
    f"{_STUDY}/instances": "instance",
    f"{_SERIES}/instances": "instance",
}


@dataclass(frozen=True, slots=True)
class Archive:
    """What the services read."""

    folders: Folders
    index: Callable[[], Index]
    """The catalogue as it is now. Raises CatalogueFailed."""


def routes(archive: Archive, guard: Callable[[Endpoint], Endpoint]) -> list[Route]:
    """The routes over `archive`; `guard` lets in who may read."""

    def answers() -> Iterator[tuple[str, Answer]]:
        for path, level in _SEARCHES.items():
            yield path, partial(search, level)
        for path in (_STUDY, _SERIES, _INSTANCE):
            yield f"{path}/metadata", partial(metadata, archive.folders)
        for path in (_STUDY, _SERIES, _INSTANCE, _FRAMES):
            yield f"{path}/rendered", partial(rendered, archive.folders)
            yield f"{path}/thumbnail", partial(thumbnail, archive.folders)

    return [Route(PREFIX + path, guard(_endpoint(archive, answer))) for path, answer in answers()]


def _endpoint(archive: Archive, answer: Answer) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            return await run_in_threadpool(_answered, archive, answer, request)
        except BadRequest as error:
            return PlainTextResponse(f"{error}\n", 400)
        except NotHere as error:
            return PlainTextResponse(f"{error}\n", 404)
        except CatalogueFailed as error:
            return PlainTextResponse(f"{error}\n", 503, headers={"Retry-After": "60"})

    return endpoint


def _answered(archive: Archive, answer: Answer, request: Request) -> Response:
    return answer(archive.index(), request, f"{str(request.base_url).rstrip('/')}{PREFIX}")
