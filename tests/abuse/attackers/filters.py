"""Filters of much text, which the server repeats in what it sends and keeps."""

import asyncio
import base64
import json

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.floods import BATCH, post_orders
from tests.abuse.attackers.wire import Wire, forever, websocket, wire

_ORDERS_A_SECOND = 270


def _names(first: int, count: int) -> list[str]:
    return [f"{MARK}-{first + number}-".ljust(200, "x") for number in range(count)]


def large(first: int) -> dict[str, object]:
    """Return a filter of 60 KB, nearly the most that goes into a packet."""
    return {"customer_name": [MARK, *_names(first, 99)], "ids": _names(first, 100), "status": _names(first, 90)}


def largest(first: int) -> dict[str, object]:
    """Return a filter with nearly as much text as a client may have."""
    return {"customer_name": _names(first, 9)}


def _wanted(first: int) -> dict[str, object]:
    """Return a filter of 20 KB that the attacker's own orders fit."""
    return {"customer_name": [MARK, *_names(first, 99)]}


async def _write_meanwhile(target: Target, tally: Tally, attack: asyncio.Future[object]) -> None:
    """Write orders that the filters let through, until the attack is over."""
    writing = asyncio.ensure_future(post_orders(target, tally, each_second=_ORDERS_A_SECOND))
    try:
        await attack
    finally:
        writing.cancel()
        await asyncio.gather(writing, attack, return_exceptions=True)


@attacker(writes=True)
async def large_filters_in_auth(target: Target, tally: Tally) -> None:
    """Connects thirty websockets, each with a filter of 20 KB, and writes the orders that they are told of."""
    numbers = iter(range(1 << 30))

    async def attempt() -> None:
        async with websocket(target, tally, auth={"filter": _wanted(next(numbers) * 100)}) as ws:
            await ws.swallow()
        raise EOFError

    await _write_meanwhile(target, tally, asyncio.ensure_future(forever(attempt, tally, at_once=30)))


@attacker(writes=True)
async def large_filters_by_subscribe(target: Target, tally: Tally) -> None:
    """Subscribes ten large filters on each of ten websockets, and writes the orders that they are told of."""
    numbers = iter(range(1 << 30))

    async def attempt() -> None:
        async with websocket(target, tally) as ws, ws.swallowing():
            for _ in range(10):
                await ws.text(b'42["subscribe",' + json.dumps(_wanted(next(numbers) * 100)).encode() + b"]")
            while True:
                await asyncio.sleep(0.2)
                await ws.text(b"3")

    await _write_meanwhile(target, tally, asyncio.ensure_future(forever(attempt, tally, at_once=10)))


@attacker(writes=True)
async def batches_for_many_filters(target: Target, tally: Tally) -> None:
    """Connects 300 websockets, each with a filter of its own, and writes batches of 500 that all of them fit."""
    numbers = iter(range(1 << 30))

    async def listen() -> None:
        async with websocket(target, tally, auth={"filter": {"customer_name": [MARK, f"{next(numbers)}"]}}) as ws:
            await ws.swallow()
        raise EOFError

    async def write() -> None:
        async with wire(target, tally) as connection:
            while True:
                await asyncio.sleep(0.2)
                await connection.ask(BATCH)

    async with asyncio.TaskGroup() as group:
        group.create_task(forever(listen, tally, at_once=300))
        group.create_task(forever(write, tally))


@attacker()
async def answers_to_unsubscribe(target: Target, tally: Tally) -> None:
    """Subscribes ten filters of 60 KB, and then unsubscribes one that it never had, twenty times a second."""

    async def attempt() -> None:
        async with websocket(target, tally) as ws, ws.swallowing():
            for number in range(10):
                await ws.text(b'42["subscribe",' + json.dumps(large(number * 100)).encode() + b"]")
            while True:
                await ws.text(b'42["unsubscribe",{"ids":["a"]}]')
                await asyncio.sleep(0.055)

    await forever(attempt, tally, at_once=4)


@attacker(writes=True)
async def forged_offsets(target: Target, tally: Tally) -> None:
    """Recovers sessions with an offset that it made up, with filters of 45 KB, or nonsense, in it."""
    numbers = iter(range(1 << 30))

    async def attempt() -> None:
        number = next(numbers)
        async with websocket(target, tally) as ws:
            pid = await _pid(ws)
        texts = [
            json.dumps([_wanted(number * 200), _wanted(number * 200 + 100)]),
            "[" * 30_000,
            f'["{MARK}"]',
            "[{}" * 9,
        ]
        forged = base64.urlsafe_b64encode(texts[number % 4].encode()).decode().rstrip("=")
        offset = [f"{target.since}~{forged}", f"{forged}.1-1", forged, "." * 60_000][number // 4 % 4]
        async with websocket(target, tally, auth={"pid": pid, "offset": offset}) as ws, ws.swallowing():
            await asyncio.sleep(0.3)

    await _write_meanwhile(target, tally, asyncio.ensure_future(forever(attempt, tally, at_once=10)))


async def _pid(ws: Wire) -> str:
    """Read on to the answer to CONNECT and return the session id in it."""
    while True:
        packet = await ws.receive()
        if packet.startswith(b"40"):
            return str(json.loads(packet[2:])["pid"])


ATTACKERS: list[Attacker] = [
    large_filters_in_auth,
    large_filters_by_subscribe,
    batches_for_many_filters,
    answers_to_unsubscribe,
    forged_offsets,
]
