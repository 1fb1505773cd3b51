"""`/metrics`: how the box is, for Prometheus."""

import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.health.metrics import CONTENT_TYPE, exposition
from appliance.health.verdict import Verdict

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(look: Callable[[], Verdict], guard: Callable[[Endpoint], Endpoint]) -> list[Route]:
    """The route of a box on which `look` says how it is; `guard` lets in who may read."""

    async def metrics(request: Request) -> Response:
        content = exposition(look(), time.time())
        return Response(content, headers={"Content-Type": CONTENT_TYPE})

    return [Route("/metrics", guard(metrics))]
