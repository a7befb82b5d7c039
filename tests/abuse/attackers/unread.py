"""Clients that never read, so that what they are sent stays with the server."""

import asyncio

from tests.abuse.attackers.attacker import Attacker, Tally, Target, attacker
from tests.abuse.attackers.polling import polling
from tests.abuse.attackers.wire import CUT, Wire, forever, request, websocket, wire

_COUNT = 500
_WINDOW = 4096


async def _idle(connection: Wire) -> None:
    """Stay without reading, and notice when the server cuts the connection."""
    while not connection.writer.transport.is_closing():
        await asyncio.sleep(0.5)
        await connection.send(b"")


async def _keep(target: Target, tally: Tally, number: int) -> None:
    """Keep one client that never reads: a websocket, or a stream, each second one from an old cursor."""
    since = target.since if number % 2 else ""
    while True:
        try:
            if number % 4 < 2:
                auth = {"since": since} if since else None
                async with websocket(target, tally, auth=auth, window=_WINDOW) as ws:
                    await _idle(ws)
            else:
                async with wire(target, tally, window=_WINDOW) as stream:
                    await stream.send(request("GET", f"/api/orders/events?since={since}"))
                    await _idle(stream)
        except CUT:
            tally["cut"] += 1
        await asyncio.sleep(0.5)


@attacker()
async def clients_that_never_read(target: Target, tally: Tally) -> None:
    """Holds 500 websockets and streams, half of them from an old cursor, and never reads from them."""
    async with asyncio.TaskGroup() as group:
        for number in range(_COUNT):
            group.create_task(_keep(target, tally, number))


@attacker()
async def polls_that_never_come(target: Target, tally: Tally) -> None:
    """Opens 300 polling sessions from an old cursor, asks each for one answer, and never again."""

    async def keep() -> None:
        while True:
            try:
                async with polling(target, tally, auth={"since": target.since}) as session:
                    await session.get()
                    await asyncio.sleep(3600)
            except CUT:
                tally["cut"] += 1
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        for _ in range(300):
            group.create_task(keep())


@attacker()
async def lists_that_nobody_reads(target: Target, tally: Tally) -> None:
    """Asks for lists of 500 on 100 connections, many at a time on each, and reads none of them."""
    pipelined = request("GET", "/api/orders?limit=500") * 30

    async def keep() -> None:
        while True:
            try:
                async with wire(target, tally, window=_WINDOW) as connection:
                    await connection.send(pipelined)
                    await _idle(connection)
            except CUT:
                tally["cut"] += 1
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(keep())


# The most that may wait for one client (`CLIENT_BUFFER_BYTES`); the answer to joining is longer than the rest.
_MOST_UNSENT = 2_097_152
_REST = 100
_ANSWER = len('44/,{"message":"Invalid namespace"}') + 1  # with the separator


@attacker()
async def full_to_the_brim(target: Target, tally: Tally) -> None:
    """Has answers wait until there is room for a few bytes only, and then joins."""

    async def attempt() -> None:
        async with polling(target, tally, join=False) as session:
            left = _MOST_UNSENT - _REST
            while left > 0:
                length = min(left - _ANSWER, 60_000)
                if 0 < left - length - _ANSWER < 2 * _ANSWER:
                    length -= 2 * _ANSWER
                await session.post(b"40/" + b"x" * length)
                left -= length + _ANSWER
            await session.post(b"40")

    await forever(attempt, tally, at_once=2)


ATTACKERS: list[Attacker] = [
    clients_that_never_read,
    polls_that_never_come,
    lists_that_nobody_reads,
    full_to_the_brim,
]
