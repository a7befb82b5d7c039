"""What is not HTTP, no websocket and no packet, and requests that claim to be from elsewhere."""

import asyncio
import random

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.polling import polling
from tests.abuse.attackers.wire import CUT, Wire, forever, request, upgrade_request, websocket, wire
from tests.unit.websocket_client import BINARY, CLOSE, PING, TEXT, frame

PACKETS = [
    *[b'42["connect"]', b'42["disconnecting"]', b"42[]", b"42", b"42{}", b"421234567890123456789[1]", b"43[]", b"44{}"],
    *[b"42[" + b"[" * 30_000, b"42" + b'{"a":' * 9_000, b'42["' + MARK.encode() * 9_000 + b'"]', b"5", b"2", b"0{}"],
    *[b'459999999-["x"]', b'451-["x",{"_placeholder":true,"num":9}]', b'451-["x",{"_placeholder":true,"num":0}]'],
    *[
        b"40[",
        b'40{"__proto__":1}',
        b'40{"filter":' + b"[" * 9_000,
        b"40/" + b"x" * 60_000,
        b"40/a,{",
        b"b%%%",
        b"4\xff",
    ],
    *[b'42["subscribe",{"ids":[' + b"1," * 20_000 + b"1]}]", b'42["subscribe",1e999]', b'42["subscribe","\\ud800"]'],
]
_FRAMES = [
    *(frame(TEXT, packet) for packet in PACKETS),
    *(frame(BINARY, packet) for packet in PACKETS[:4]),
    frame(3, b"x"),
    frame(TEXT, b"x", rsv=4),
    frame(PING, b"x" * 126),
    frame(PING, b"x", fin=False),
    frame(CLOSE, b"x"),
    frame(CLOSE, b"\x03\xed"),
    frame(0, b"x"),
    b"\x81\x01x",  # not masked
    b"\x81\xff" + b"\xff" * 12,
    b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"1234",
    b"\x81\xff" + (1).to_bytes(8, "big") + b"1234x",
]
_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET http://xn--/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //\\x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%00%ff%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\n: \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : localhost\r\n folded\r\n\r\n",
    b"\x00" * 5_000,
    b"\r\n" * 20_000,
]
_MANY = {f"X-{number}": MARK for number in range(5_000)}
_ENDLESS = request("GET", "/", headers={"X-Long": "x" * 60_000})[:-2]
HEADERS = [
    request("GET", "/" + "x" * 65_000),
    request("GET", "/" * 16_000),
    request("GET", "/api/orders?customer_name=" + "%41" * 20_000),
    request("GET", "/", headers=_MANY),
    request("GET", "/api/orders", headers={"X-Long": MARK * 9_000}),
    request("GET", "/", headers={"Cookie": "a=b; " * 12_000}),
    upgrade_request(headers=_MANY),
    upgrade_request("x" * 60_000),
    _ENDLESS * 8,
]


async def _one_by_one(target: Target, tally: Tally, pieces: list[bytes]) -> None:
    """Send each on a connection of its own and see what comes of it for a moment."""

    async def attempt() -> None:
        for piece in pieces:
            async with wire(target, tally) as connection:
                await connection.send(piece)
                await _look(connection)

    await forever(attempt, tally, at_once=4)


async def _look(connection: Wire) -> None:
    try:
        async with asyncio.timeout(0.05):
            await connection.head()
    except (TimeoutError, *CUT):
        return


@attacker()
async def malformed_http(target: Target, tally: Tally) -> None:
    """Sends what is no HTTP, or HTTP in which each side may read something else."""
    await _one_by_one(target, tally, _HTTP)


@attacker()
async def malformed_packets(target: Target, tally: Tally) -> None:
    """Sends packets and frames that nobody may send, each in a websocket of its own."""
    pieces = iter(lambda: random.choice(_FRAMES), None)

    async def attempt() -> None:
        async with websocket(target, tally) as ws, ws.swallowing():
            await ws.send(next(pieces), frame(TEXT, b'421["subscribe",{}]'))
            await asyncio.sleep(0.02)

    await forever(attempt, tally, at_once=8)


@attacker()
async def malformed_posts(target: Target, tally: Tally) -> None:
    """Posts the same packets to polling sessions, by themselves and thousands at a time."""

    async def attempt() -> None:
        for packets in [*([packet] for packet in PACKETS), [b"6"] * 30_000, [b""] * 60_000]:
            async with polling(target, tally) as session:
                await session.post(*packets)

    await forever(attempt, tally, at_once=4)


@attacker()
async def floods_of_headers(target: Target, tally: Tally) -> None:
    """Sends addresses of 64 KB and heads of thousands of fields, some of them without an end."""
    await _one_by_one(target, tally, HEADERS)


ATTACKERS: list[Attacker] = [malformed_http, malformed_packets, malformed_posts, floods_of_headers]
