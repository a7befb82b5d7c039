"""Requests that are each in order, and far too many."""

import asyncio
import json

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.polling import polling
from tests.abuse.attackers.wire import CUT, ENGINE, ask_forever, forever, json_request, request, websocket, wire

# As the product it has the number 0, so that the auditor of `make faults` knows these orders, too.
_ORDER = {"customer_name": MARK, "product_name": "#".ljust(200, "0"), "status": "pending"}
_POST = json_request("POST", "/api/orders", json.dumps(_ORDER).encode())
BATCH = json_request(
    "POST",
    "/api/orders:batch",
    json.dumps({"operations": [{"operation": "INSERT", "order": _ORDER}] * 500}).encode(),
)


async def post_orders(target: Target, tally: Tally, *, each_second: float) -> None:
    """Write orders at a rate."""
    while True:
        try:
            async with wire(target, tally) as connection:
                while True:
                    await connection.ask(_POST)
                    await asyncio.sleep(1 / each_second)
        except CUT:
            await asyncio.sleep(0.05)


@attacker()
async def list_flood(target: Target, tally: Tally) -> None:
    """Asks for lists of 500 orders on sixteen connections."""
    await ask_forever(target, tally, [request("GET", "/api/orders?limit=500")], at_once=16)


@attacker()
async def list_flood_of_filters(target: Target, tally: Tally) -> None:
    """Asks for lists that no two requests share, on sixteen connections."""
    calls = [
        request("GET", f"/api/orders?limit={limit}&customer_name={MARK}-{limit}&status=pending")
        for limit in range(1, 500)
    ]
    await ask_forever(target, tally, calls, at_once=16)


@attacker(writes=True)
async def post_flood(target: Target, tally: Tally) -> None:
    """Writes orders on sixteen connections."""
    await ask_forever(target, tally, [_POST], at_once=16)


@attacker()
async def pipelined_flood(target: Target, tally: Tally) -> None:
    """Sends a thousand requests at once, without waiting for an answer, on four connections."""

    async def attempt() -> None:
        async with wire(target, tally) as connection, connection.swallowing():
            while True:
                await connection.send(request("GET", "/api/orders?limit=5") * 1_000)

    await forever(attempt, tally, at_once=4)


@attacker()
async def trifles_in_a_pipeline(target: Target, tally: Tally) -> None:
    """Sends hundreds of requests at once that cost next to nothing each, on a hundred connections."""

    async def attempt() -> None:
        async with wire(target, tally) as connection, connection.swallowing():
            while True:
                await connection.send(request("GET", "/x") * 200 + request("GET", "/healthz") * 200)

    await forever(attempt, tally, at_once=100)


@attacker()
async def connects_on_one_session(target: Target, tally: Tally) -> None:
    """Joins and leaves the orders again and again, with an old cursor and a new filter, on fifty websockets."""

    async def attempt() -> None:
        async with websocket(target, tally, join=False) as ws, ws.swallowing():
            for number in range(1 << 30):
                auth = {"since": target.since, "filter": {"customer_name": [f"{MARK}-{id(ws)}-{number}"]}}
                await ws.text(b"40" + json.dumps(auth).encode(), b"41")
                await asyncio.sleep(0.11)

    await forever(attempt, tally, at_once=50)


@attacker()
async def handshake_flood(target: Target, tally: Tally) -> None:
    """Connects websockets and leaves, on sixteen connections at a time."""

    async def attempt() -> None:
        async with websocket(target, tally) as ws:
            await ws.receive()

    await forever(attempt, tally, at_once=16)


@attacker()
async def polling_handshake_flood(target: Target, tally: Tally) -> None:
    """Opens polling sessions and forgets them, sixteen at a time."""
    await ask_forever(target, tally, [request("GET", f"{ENGINE}polling")], at_once=16)


@attacker()
async def stream_flood(target: Target, tally: Tally) -> None:
    """Opens streams and leaves, sixteen at a time."""

    async def attempt() -> None:
        async with wire(target, tally) as stream:
            await stream.send(request("GET", "/api/orders/events"))
            await stream.head()

    await forever(attempt, tally, at_once=16)


@attacker()
async def words_to_streams(target: Target, tally: Tally) -> None:
    """Opens a hundred streams, and sends into each as fast as it can."""

    async def attempt() -> None:
        async with wire(target, tally) as stream, stream.swallowing():
            await stream.send(request("GET", "/api/orders/events"))
            while True:
                await stream.send(MARK.encode() * 10_000)

    await forever(attempt, tally, at_once=100)


@attacker()
async def subscribe_flood(target: Target, tally: Tally) -> None:
    """Subscribes and unsubscribes as often as a client may, on fifty websockets."""

    async def attempt() -> None:
        async with websocket(target, tally) as ws, ws.swallowing():
            for number in range(1 << 30):
                wanted = json.dumps({"ids": [f"{MARK}-{id(ws)}-{number}"]}).encode()
                await ws.text(b'421["subscribe",' + wanted + b"]", b'422["unsubscribe",' + wanted + b"]")
                await asyncio.sleep(0.11)

    await forever(attempt, tally, at_once=50)


@attacker()
async def poll_flood(target: Target, tally: Tally) -> None:
    """Polls and posts in sixteen sessions, and has each GET answered by the POST at once."""

    async def attempt() -> None:
        async with polling(target, tally) as session:
            while True:
                await session.post(b'421["subscribe",{}]')
                await session.get()

    await forever(attempt, tally, at_once=16)


@attacker()
async def polling_resumes(target: Target, tally: Tally) -> None:
    """Resumes sixteen polling sessions from an old cursor and reads for as long as there is something."""

    async def attempt() -> None:
        async with polling(target, tally, auth={"since": target.since}) as session:
            for _ in range(20):
                await session.get()

    await forever(attempt, tally, at_once=16)


ATTACKERS: list[Attacker] = [
    list_flood,
    list_flood_of_filters,
    post_flood,
    pipelined_flood,
    trifles_in_a_pipeline,
    connects_on_one_session,
    handshake_flood,
    polling_handshake_flood,
    stream_flood,
    words_to_streams,
    subscribe_flood,
    poll_flood,
    polling_resumes,
]
