"""Connections that say nothing, or hardly anything, and stay."""

import asyncio
from collections.abc import Sequence

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import CUT, ENGINE, request, wire

_HEADERS = {"Content-Type": "application/json", "Content-Length": "60000"}
HEADS = [b"", b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + MARK.encode(), b"\x16\x03\x01\x02\x00\x01"]
BODIES = [
    request("POST", "/api/orders", headers=_HEADERS) + b"{",
    request("PUT", "/api/orders/0123456789abcdef01234567", headers=_HEADERS) + b"{",
    request("POST", f"{ENGINE}polling", headers=_HEADERS) + b"4",
    request("POST", "/nowhere", headers=_HEADERS) + b"{",
    request("GET", "/", headers=_HEADERS) + b"{",
    request("POST", "/api/orders", headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    + b"1\r",
]


async def _hold(target: Target, tally: Tally, count: int, beginnings: Sequence[bytes], *, port: int = 0) -> None:
    """Keep so many connections that begin so, and open new ones for those that the server cuts."""

    async def keep(number: int) -> None:
        while True:
            try:
                async with wire(target, tally, port=port) as held:
                    await held.send(beginnings[number % len(beginnings)])
                    await held.swallow()
            except CUT:
                pass
            tally["cut"] += 1
            await asyncio.sleep(0.2)

    await asyncio.gather(*(keep(number) for number in range(count)))


@attacker()
async def silent_connections(target: Target, tally: Tally) -> None:
    """Holds 1,100 TCP connections that never say anything."""
    await _hold(target, tally, 1_100, [b""])


@attacker()
async def half_sent_heads(target: Target, tally: Tally) -> None:
    """Holds 300 connections with a request whose head never ends."""
    await _hold(target, tally, 300, HEADS[1:])


@attacker()
async def half_sent_bodies(target: Target, tally: Tally) -> None:
    """Holds 300 connections with a request whose body never ends."""
    await _hold(target, tally, 300, BODIES)


@attacker()
async def silent_connections_to_the_watcher(target: Target, tally: Tally) -> None:
    """Holds 600 connections to the watcher's port that say nothing, or half a request."""
    await _hold(target, tally, 600, HEADS + BODIES, port=target.watcher_port)


@attacker()
async def trickling_requests(target: Target, tally: Tally) -> None:
    """Sends heads and bodies of requests a byte at a time, on 200 connections."""

    async def trickle(number: int) -> None:
        begun = (HEADS[1:] + BODIES)[number % 9]
        while True:
            try:
                async with wire(target, tally) as slow:
                    await slow.send(begun)
                    while True:
                        await slow.send(b"x")
                        await asyncio.sleep(0.2)
            except CUT:
                tally["cut"] += 1
                await asyncio.sleep(0.2)

    await asyncio.gather(*(trickle(number) for number in range(200)))


async def still_open(target: Target, tally: Tally, port: int, beginning: bytes, *, within: float) -> bool:
    """Begin so, say nothing more, and return whether the server has not cut the connection within so many seconds."""
    async with wire(target, tally, port=port) as held:
        await held.send(beginning)
        try:
            async with asyncio.timeout(within):
                await held.swallow()
        except TimeoutError:
            return True
        return False


ATTACKERS: list[Attacker] = [
    silent_connections,
    half_sent_heads,
    half_sent_bodies,
    silent_connections_to_the_watcher,
    trickling_requests,
]
