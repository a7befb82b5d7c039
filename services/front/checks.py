"""Runs checks of requests that wait for nothing in one middleware: each further one costs a coroutine per request."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Check = Callable[[web.Request], web.StreamResponse | None]
"""Return None to let the request go on; otherwise return its answer, or raise an exception."""

Mark = Callable[[web.Request, web.StreamResponse], None]
"""Sets headers of an answer, whoever gave it, before its head is sent."""


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


def mark_answers(app: web.Application, *marks: Mark) -> None:
    """Have the marks set on all answers, in this order; streams have them, too."""

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        for each in marks:
            each(request, response)

    app.on_response_prepare.append(mark)
