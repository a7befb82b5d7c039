"""What opening an event stream costs the client's account."""

from typing import Any
from unittest.mock import MagicMock

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.common.fair_turns import FairTurns
from services.gateway.http.paths import STREAM
from services.gateway.sse.endpoint import OPENING_SECONDS, SseTransport
from services.gateway.sse.settings import SseSettings


async def test_an_opening_is_charged_more_than_what_each_request_costs() -> None:
    charged: list[tuple[str, float]] = []
    turns = MagicMock(spec=FairTurns, charge=lambda account, seconds: charged.append((account, seconds)))
    nothing: Any = MagicMock()
    transport = SseTransport(
        MagicMock(turns=turns), nothing, lambda _: "192.0.2.7", "", nothing, nothing, SseSettings(), nothing
    )
    app = web.Application()
    app.add_routes(transport.routes())
    async with TestClient(TestServer(app)) as client, client.head(STREAM) as response:
        assert response.status == 200
    assert charged == [("192.0.2.7", OPENING_SECONDS)]
