"""Cursors from before what Redis holds, with which a few bytes ask for the database's whole history."""

import asyncio
import re

from tests.abuse.attackers.attacker import Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import Wire, forever, request, websocket, wire

_CURSOR = re.compile(r"(\w+)\.(\d+)-(\d+)")


def older(cursor: str, seconds: int) -> str:
    """Return the cursor of so many seconds before: its first number has them in its upper half."""
    epoch, ts, _ = _CURSOR.fullmatch(cursor).groups()  # type: ignore[union-attr]  # it is one of the server's own
    return f"{epoch}.{int(ts) - (seconds << 32)}-0"


def _stream(since: str) -> bytes:
    return request("GET", f"/api/orders/events?since={since}")


@attacker()
async def old_cursors(target: Target, tally: Tally) -> None:
    """Opens eight streams from an old cursor and reads them as fast as it can, for a second each."""

    async def attempt() -> None:
        async with wire(target, tally) as stream:
            await stream.send(_stream(target.since))
            with_time = asyncio.wait_for(stream.swallow(), 1.0)
            await asyncio.gather(with_time, return_exceptions=True)

    await forever(attempt, tally, at_once=8)


@attacker()
async def leavers_at_the_first_byte(target: Target, tally: Tally) -> None:
    """Opens ten streams a second from an old cursor and leaves each at its first byte."""

    async def attempt() -> None:
        async with wire(target, tally) as stream:
            await stream.send(_stream(target.since))
            await stream.reader.readexactly(1)
        await asyncio.sleep(0.1)

    await forever(attempt, tally)


@attacker()
async def cursors_of_every_age(target: Target, tally: Tally) -> None:
    """Resumes from a different second of the past each time, so that no answer can be remembered."""
    ages = iter(range(1, 1 << 30))

    async def attempt() -> None:
        async with wire(target, tally) as stream:
            await stream.send(_stream(older(target.since, next(ages) % 7200)))
            await _some(stream)
        await asyncio.sleep(0.02)

    await forever(attempt, tally, at_once=2)


async def _some(stream: Wire) -> None:
    await stream.head()
    await stream.reader.read(4096)


@attacker()
async def old_cursors_over_websockets(target: Target, tally: Tally) -> None:
    """Connects eight websockets with an old cursor and a filter that lets nothing through, over and over."""
    auth = {"since": target.since, "filter": {"customer_name": "nobody"}}

    async def attempt() -> None:
        async with websocket(target, tally, auth=auth) as ws:
            for _ in range(3):
                await ws.receive()
            await asyncio.sleep(0.2)

    await forever(attempt, tally, at_once=8)


ATTACKERS: list[Attacker] = [old_cursors, leavers_at_the_first_byte, cursors_of_every_age, old_cursors_over_websockets]
