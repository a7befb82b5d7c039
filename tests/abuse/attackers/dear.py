"""Exports, snapshots, histories, searches and batches, far too many of them: each is dear, and each is in order."""

import asyncio
import json
from itertools import count

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import Refused, ask_forever, forever, request, websocket, wire

_WINDOW = 4096
_FORMS = ["text/csv", "application/x-ndjson", "text/*", "text/event-stream"]
_ID = "0123456789abcdef0123456"
_IDS = [*(f"{_ID}{number:x}" for number in range(16)), "~i5", "~s5", f"{MARK}-id", "~bDAAAAAIAAgAAAAAA"]
_SORTS = [f"{sign}{field}" for field in ("updated_at", "customer_name", "status") for sign in ("", "-")]
_BATCH = 200


def _list(query: str, accept: str = "application/json", method: str = "GET") -> bytes:
    return request(method, f"/api/orders{query}", headers={"Accept": accept})


@attacker()
async def exports_that_nobody_reads(target: Target, tally: Tally) -> None:
    """Asks for all orders in every form on sixty connections, reads the head or nothing, and leaves."""

    async def attempt(number: int) -> None:
        async with wire(target, tally, window=_WINDOW) as connection:
            await connection.send(_list("", _FORMS[number % len(_FORMS)]))
            if number % 3:
                await connection.reader.readexactly(1)
            await asyncio.sleep(0.2 * (number % 2))

    numbers = count()
    await forever(lambda: attempt(next(numbers)), tally, at_once=60)


@attacker()
async def export_flood(target: Target, tally: Tally) -> None:
    """Exports all orders on eight connections, and asks for the heads of exports on as many."""
    whole = [_list("", "text/csv"), _list("?sort=customer_name", "application/x-ndjson")]
    heads = [_list("", form, "HEAD") for form in _FORMS]
    async with asyncio.TaskGroup() as group:
        group.create_task(ask_forever(target, tally, whole, at_once=8))
        group.create_task(forever(lambda: _one_by_one(target, tally, heads), tally, at_once=8))


async def _one_by_one(target: Target, tally: Tally, requests: list[bytes]) -> None:
    for data in requests:
        async with wire(target, tally) as connection:
            await connection.send(data)
            await connection.head()


@attacker()
async def search_flood(target: Target, tally: Tally) -> None:
    """Counts, sorts and searches on sixteen connections, each time something else."""
    asked = [f"?limit=500&count=true&sort={sort}" for sort in _SORTS]
    asked += [f"?q={text}&count=true&limit=500" for text in ("h", "history", "0", "6", "%F0%9F%98%80", "%00", "#")]
    asked += [f"?updated_since=2000-01-01T00:00:00Z&limit={limit}&count=true" for limit in range(480, 500)]
    await ask_forever(target, tally, [_list(each) for each in asked], at_once=16)


@attacker()
async def history_flood(target: Target, tally: Tally) -> None:
    """Asks for the past of orders that never were, and of places that never were, on sixteen connections."""
    epoch = target.since.partition(".")[0]
    queries = ["", "?limit=100", f"?before={epoch}.{(1 << 64) - 1}-4294967295", f"?before={epoch}.1-0"]
    paths = [f"/api/orders/{each}/history{query}" for each in _IDS for query in queries]

    async def attempt() -> None:
        async with wire(target, tally) as connection:
            for path in paths:
                await connection.ask(request("GET", path))

    async def leave() -> None:
        async with wire(target, tally) as connection:
            await connection.send(request("GET", paths[0]))
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        group.create_task(forever(attempt, tally, at_once=12))
        group.create_task(forever(leave, tally, at_once=4))


@attacker()
async def snapshot_flood(target: Target, tally: Tally) -> None:
    """Asks for a snapshot, and for another one inside of it, as often as it may, on thirty websockets."""

    async def attempt() -> None:
        async with websocket(target, tally, auth={"since": "snapshot"}) as ws, ws.swallowing():
            for number in range(1 << 30):
                wanted = {"ids": [f"{MARK}-{number}"]} if number % 3 else {}
                asked = json.dumps({"snapshot": True, **wanted}).encode()
                await ws.text(b'421["subscribe",' + asked + b"]", b'422["unsubscribe",{"status":"shipped"}]')
                await asyncio.sleep(0.11)

    async def unread() -> None:
        async with websocket(target, tally, auth={"since": "snapshot"}, window=_WINDOW) as ws:
            await ws.text(b'42["subscribe",{"snapshot":true}]')
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        group.create_task(forever(attempt, tally, at_once=30))
        group.create_task(forever(unread, tally, at_once=30))


@attacker(writes=True)
async def batches_with_keys(target: Target, tally: Tally) -> None:
    """Writes and deletes hundreds of orders in each batch, each with a key: new ones, and one that is repeated."""
    order = {"customer_name": MARK, "product_name": "#".ljust(200, "0"), "status": "pending"}
    inserts = json.dumps({"operations": [{"operation": "INSERT", "order": order}] * _BATCH}).encode()
    keys = count()

    async def attempt() -> None:
        async with wire(target, tally) as connection:
            key = f"{id(connection)}-{next(keys)}"
            answer = await connection.ask(_batch(inserts, key))
            if answer.status != 200:
                raise Refused
            if (await connection.ask(_batch(inserts, key))).body != answer.body:
                tally["HTTP 500"] += 1  # the repeat has another answer
            made = [each["id"] for each in json.loads(answer.body)["results"]]
            deletes = json.dumps({"operations": [{"operation": "DELETE", "id": each} for each in made]}).encode()
            await connection.ask(_batch(deletes, f"{key}-delete"))

    async def repeat() -> None:
        refused = json.dumps({"operations": [{"operation": "DELETE", "id": _IDS[0]}] * 500}).encode()
        async with wire(target, tally) as connection:
            while True:
                await connection.ask(_batch(refused, "the same"))
                await connection.ask(_batch(b'{"operations":[' + b"[" * 500_000 + b"]}", "the same"))

    async with asyncio.TaskGroup() as group:
        group.create_task(forever(attempt, tally, at_once=4))
        group.create_task(forever(repeat, tally, at_once=4))


def _batch(body: bytes, key: str) -> bytes:
    return request(
        "POST", "/api/orders:batch", body, {"Content-Type": "application/json", "Idempotency-Key": f'"{MARK} {key}"'}
    )


ATTACKERS: list[Attacker] = [
    exports_that_nobody_reads,
    export_flood,
    search_flood,
    history_flood,
    snapshot_flood,
    batches_with_keys,
]
