"""Heads of requests whose lines are each within the limits, and dear by what they list or all together."""

import asyncio

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import CUT, ENGINE, forever, request, upgrade_request, wire

_LINE = 8_000  # bytes
_LINES = 100
_ORDER = "/api/orders/0123456789abcdef01234567"


def _with(head: bytes, name: str, entry: str, lines: int) -> bytes:
    """Return the head with so many lines more, each a list of this entry as often as it goes in."""
    begun, end, body = head.partition(b"\r\n\r\n")
    line = f"\r\n{name}: {entry * (_LINE // len(entry))}".encode()
    return begun + line * lines + end + body


def _lists(lines: int) -> list[bytes]:
    return [
        *(
            _with(request("GET", path), "Accept", entry, lines)
            for path in ("/api/orders", _ORDER, "/api/orders/events")
            for entry in ("a/b,", "a/b;q=0.1,text/event-stream,", ",", "a;;;;;;;,", "text/csv,*/*;q=0,")
        ),
        *(
            _with(request("GET", path), "Accept-Encoding", entry, lines)
            for path in ("/api/orders?limit=500", "/", "/nowhere")
            for entry in ("br;q=0,", ",", "a;                q,")
        ),
        *(
            _with(request(method, _ORDER), name, entry, lines)
            for method in ("GET", "DELETE")
            for name in ("If-Match", "If-None-Match")
            for entry in ('"",', 'W/"x",', ",")
        ),
        *(_with(request("GET", f"{ENGINE}polling"), "Cookie", entry, lines) for entry in (";", "a=b;")),
        *(_with(upgrade_request(), name, "a,", lines) for name in ("Sec-WebSocket-Protocol", "Connection", "Upgrade")),
        *(
            _with(request(method, path, b" "), "Content-Type", entry, lines)
            for method, path in (("POST", "/api/orders"), ("PATCH", _ORDER), ("POST", "/api/orders:batch"))
            for entry in ("application/json;a=b;", "a/b;", "(", 'a/b;a="\\\\";', ";", "a*0=b;", "=?utf-8?q?a?= ")
        ),
        _with(
            request("OPTIONS", "/api/orders", headers={"Origin": "x"}), "Access-Control-Request-Headers", "a,", lines
        ),
        _with(request("GET", "/"), "X-Forwarded-For", "1,", lines),
        _with(request("GET", "/"), "Range", "bytes=0-1,", lines),
    ]


LISTS = _lists(1) + _lists(_LINES)
DEAREST = [
    *(_with(request("GET", "/api/orders"), "Accept", ",", lines) for lines in (1, _LINES)),
    *(
        _with(request("POST", "/api/orders", b" "), "Content-Type", f"{number}{entry}", 1)
        for number in range(3)  # each is remembered by its text
        for entry in (";", 'a/b;a="\\\\";', "(")
    ),
]
_UNENDED = _with(request("GET", "/"), "X-Long", MARK, _LINES)[:-2]


@attacker()
async def lists_in_heads(target: Target, tally: Tally) -> None:
    """Sends heads whose lines are lists of thousands of entries, a hundred of such lines at most."""
    await _ask_each(target, tally, [*DEAREST, *LISTS])


async def _ask_each(target: Target, tally: Tally, requests: list[bytes]) -> None:
    async def attempt() -> None:
        for data in requests:
            async with wire(target, tally) as connection:
                await connection.send(data)
                try:
                    async with asyncio.timeout(0.3):
                        await connection.head()
                except (TimeoutError, *CUT):
                    continue

    await forever(attempt, tally, at_once=4)


@attacker()
async def large_heads_half_sent(target: Target, tally: Tally) -> None:
    """Holds 60 connections with a head of 800 KB that never ends."""

    async def keep() -> None:
        async with wire(target, tally) as held:
            await held.send(_UNENDED)
            await held.swallow()
        raise EOFError

    await forever(keep, tally, at_once=60)


ATTACKERS: list[Attacker] = [lists_in_heads, large_heads_half_sent]
