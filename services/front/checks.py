"""Runs the checks of requests that await nothing in one middleware: each middleware costs a coroutine per request."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Check = Callable[[web.Request], web.StreamResponse | None]
"""Return None to let the request go on; otherwise return its answer, or raise an exception."""

AddHeaders = Callable[[web.Request, web.StreamResponse], None]
"""Adds headers to a response before its head is sent."""


def checking(*checks: Check) -> Middleware:
    """Return the middleware that runs the checks in this order."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        for each in checks:
            answer = each(request)
            if answer is not None:
                return answer
        return await handler(request)

    return check


def add_headers_to_all(app: web.Application, *adders: AddHeaders) -> None:
    """Call these for every response, those of errors and streams included, in this order."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        for add in adders:
            add(request, response)

    app.on_response_prepare.append(add_headers)
