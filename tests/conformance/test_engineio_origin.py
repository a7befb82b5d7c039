"""Which pages of the web may connect."""

import aiohttp
import pytest

from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.origin import OriginPolicy
from tests.conformance.conftest import EngineWith


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:{port}", True),
        ("https://127.0.0.1:{port}", True),
        ("https://good.com", True),
        ("https://evil-good.com", False),
        ("https://good.com.evil.com", False),
        ("https://good.com:8443", False),
        ("http://good.com", False),
        ("https://GOOD.com", False),
        ("null", False),
        ("", False),
        ("http://127.0.0.1", False),
        ("file://127.0.0.1:{port}", False),
    ],
)
async def test_only_pages_of_allowed_origins_connect(
    engine_with: EngineWith, origin: str | None, *, allowed: bool
) -> None:
    engine = await engine_with(origins=OriginPolicy(["https://good.com"]))
    headers = {} if origin is None else {"Origin": origin.format(port=engine.port)}

    async with engine.http.get(engine.url, params=engine.query("polling"), headers=headers) as response:
        assert response.status == (200 if allowed else 403)
        listed = origin == "https://good.com"
        assert response.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)
        assert response.headers["Vary"] == "Origin"
    async with aiohttp.ClientSession() as other:
        for http in (engine.http, other):  # over a connection that was used before, and over a new one
            if allowed:
                async with http.ws_connect(engine.url, params=engine.query("websocket"), headers=headers) as socket:
                    assert (await socket.receive_str())[0] == "0"
            else:
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await http.ws_connect(engine.url, params=engine.query("websocket"), headers=headers)
    assert engine.incidents == ({} if allowed else {IncidentKind.ORIGIN_REFUSED: 3})


async def test_any_origin_may_be_allowed_but_then_without_credentials(engine_with: EngineWith) -> None:
    engine = await engine_with(origins=OriginPolicy(["*"]))
    headers = {"Origin": "https://anywhere.com"}
    async with engine.http.get(engine.url, params=engine.query("polling"), headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_a_preflight_is_answered_for_allowed_origins_only(engine_with: EngineWith) -> None:
    engine = await engine_with(origins=OriginPolicy(["https://good.com"]))
    for origin, status in (("https://good.com", 204), ("https://evil.com", 403)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        async with engine.http.options(engine.url, params=engine.query("polling"), headers=headers) as response:
            assert response.status == status
            assert ("Access-Control-Allow-Origin" in response.headers) == (status == 204)
