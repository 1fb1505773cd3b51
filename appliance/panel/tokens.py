"""The token with which programs read: sent as `Authorization: Bearer TOKEN` (RFC 6750)."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from appliance.panel.told import Tell
from appliance.settings.passwords import is_token

Endpoint = Callable[[Request], Awaitable[Response]]


def with_token(tell: Tell, endpoint: Endpoint) -> Endpoint:
    """`endpoint`, for who has the token; 401 for others, 403 where the settings name none."""

    async def answer(request: Request) -> Response:
        hashed = tell().token
        if not hashed:
            return PlainTextResponse("the settings have no [panel] token\n", 403)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_token(token.strip(), hashed):
            headers = {"WWW-Authenticate": 'Bearer realm="netty"'}
            return PlainTextResponse("a token is needed\n", 401, headers)
        return await endpoint(request)

    return answer
