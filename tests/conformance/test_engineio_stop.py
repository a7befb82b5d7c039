"""How a server says goodbye."""

import asyncio

from services.gateway.edge.incidents import IncidentKind
from tests.conformance.conftest import EngineWith
from tests.conformance.running import Running


async def test_a_stop_is_spread_and_admits_no_client(engine_with: EngineWith) -> None:
    engine = await engine_with()
    async with engine.session() as first, engine.session() as second:
        begin = asyncio.get_running_loop().time()
        stop = asyncio.ensure_future(engine.close(1.0))
        assert await first.closed() == 1001
        assert await handshake(engine) == 503
        assert not stop.done()
        assert await second.closed() == 1001
        assert asyncio.get_running_loop().time() - begin >= 0.45
    await stop
    assert engine.incidents == {IncidentKind.STOPPING: 1}


async def test_a_held_poll_is_told_of_the_stop(engine_with: EngineWith) -> None:
    engine = await engine_with()
    sid = await engine.open_polling()
    poll = await engine.held(engine.get(sid))
    await engine.close(0)
    assert await poll == (200, "1")


async def test_packets_unsent_at_the_stop_can_still_be_fetched(engine_with: EngineWith) -> None:
    engine = await engine_with()
    sid = await engine.open_polling()
    await engine.post(sid, "4last")
    stop = asyncio.ensure_future(engine.close(0))
    await asyncio.sleep(0)
    assert await engine.get(sid) == (200, "4last\x1e1")
    assert (await engine.get(sid))[0] == 400
    await stop


async def handshake(engine: Running) -> int:
    """Return the status that a new client is answered with."""
    async with engine.http.get(engine.url, params=engine.query("polling")) as response:
        return response.status
