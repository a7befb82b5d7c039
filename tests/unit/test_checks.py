"""Checks of requests: in their order, until one of them has an answer."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.front.checks import add_headers_to_all, checking


async def test_checks_run_in_order_until_one_answers() -> None:
    ran: list[str] = []

    def passes(request: web.Request) -> None:
        ran.append(f"passes {request.path}")

    def answers(request: web.Request) -> web.Response | None:
        ran.append(f"answers {request.path}")
        return web.Response(status=418) if request.path == "/tea" else None

    def refuses(request: web.Request) -> None:
        if request.path == "/refused":
            raise web.HTTPForbidden

    async def route(request: web.Request) -> web.Response:
        ran.append(f"route {request.path}")
        return web.Response()

    app = web.Application(middlewares=[checking(passes, answers, refuses)])
    app.router.add_get("/{any}", route)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/tea")).status == 418
        assert (await client.get("/refused")).status == 403
        assert (await client.get("/milk")).status == 200
    assert ran == [
        *("passes /tea", "answers /tea"),
        *("passes /refused", "answers /refused"),
        *("passes /milk", "answers /milk", "route /milk"),
    ]


async def test_headers_are_added_to_every_response_in_order() -> None:
    def first(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Path"] = request.path

    def second(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Path"] += "!"

    app = web.Application()
    add_headers_to_all(app, first, second)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/nothing")).headers["X-Path"] == "/nothing!"
