"""Single requests that are dear to answer, one at a time, so that what each one costs can be told."""

import asyncio
import json
from collections.abc import Sequence

from tests.abuse.attackers import bodies, elsewhere, filters, heads, ids, malformed
from tests.abuse.attackers.attacker import Attacker, Tally, Target, attacker
from tests.abuse.attackers.polling import polling
from tests.abuse.attackers.wire import CUT, request, websocket, wire
from tests.unit.websocket_client import TEXT, frame

_SUBSCRIBES = [b"40", *(b'42["subscribe",' + json.dumps(filters.largest(n)).encode() + b"]" for n in range(90))]
_WAIT = 0.3  # seconds for an answer, or for what is done without one
_APART = 0.02


async def _ask_each(target: Target, tally: Tally, requests: Sequence[bytes]) -> None:
    for data in requests:
        try:
            async with asyncio.timeout(_WAIT), wire(target, tally) as connection:
                await connection.ask(data)
        except (TimeoutError, *CUT):
            tally["cut"] += 1
        await asyncio.sleep(_APART)


async def _say_each(target: Target, tally: Tally, packets: Sequence[bytes]) -> None:
    for packet in packets:
        try:
            async with asyncio.timeout(_WAIT), websocket(target, tally) as ws, ws.swallowing():
                await ws.send(frame(TEXT, packet))
                await asyncio.sleep(_APART)
        except (TimeoutError, *CUT):
            tally["cut"] += 1


async def _post_each(target: Target, tally: Tally, payloads: Sequence[Sequence[bytes]]) -> None:
    for packets in payloads:
        try:
            async with asyncio.timeout(_WAIT), polling(target, tally) as session:
                await session.post(*packets)
        except (TimeoutError, *CUT):
            tally["cut"] += 1
        await asyncio.sleep(_APART)


@attacker()
async def expensive_requests(target: Target, tally: Tally) -> None:
    """Sends one expensive request after the other, of all kinds."""
    since = f"since={target.since}"
    ordinary = [
        "/api/orders?limit=500",
        f"/api/orders/events?{since}",
        f"/api/orders/events?{since}&status=x",
        "/metrics",
    ]
    large = json.dumps(filters.large(0)).encode()
    requests = [
        *bodies.expensive(),
        *ids.EXPENSIVE,
        *malformed.HEADERS,
        *heads.DEAREST,
        *(each.data for each in elsewhere.FORGED[:6]),
        *(request("GET", path) for path in ordinary),
    ]
    said = [*malformed.PACKETS, b'42["subscribe",' + large + b"]", b'42["unsubscribe",' + large + b"]"]
    said.append(b"41" + b'{"a":' * 9_000)
    while True:
        await _ask_each(target, tally, requests)
        await _say_each(target, tally, said)
        await _post_each(target, tally, [*([packet] for packet in said), [b"6"] * 30_000, [b""] * 60_000, _SUBSCRIBES])


CORPUS: Attacker = expensive_requests
