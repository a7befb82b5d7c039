"""An order that MongoDB stores and the driver does not decode, as a faulty program may write, takes nothing along."""

import base64
import json
import struct
from typing import Any

import aiohttp
import bson
import pytest
from bson import Binary, ObjectId
from bson.raw_bson import RawBSONDocument

from tests.integration.watched_orders import JOHN, Stack
from tests.service_process import ServiceProcess
from tests.waiting import until

# Bytes of the old kind, which begin with their length; this one says that they are more than there are.
_VALUE = struct.pack("<i", 100) + b"abc"
_ELEMENT = struct.pack("<i", len(_VALUE)) + b"\x02" + _VALUE


def damaged(id: ObjectId) -> RawBSONDocument:
    """Return an order with such a value in its field `old`."""
    whole = bson.encode({"_id": id, **JOHN, "old": Binary(_VALUE, 0)})
    data = whole.replace(_ELEMENT.replace(b"\x02", b"\x00", 1), _ELEMENT)
    with pytest.raises(bson.errors.InvalidBSON):
        bson.decode(data)
    return RawBSONDocument(data)


async def insert(stack: Stack) -> str:
    order = ObjectId()
    await stack.orders.database.command({"insert": "orders", "documents": [damaged(order)]})
    return str(order)


async def gateway_of(stack: Stack) -> ServiceProcess:
    shared = {"MONGODB_URI": stack.mongodb_uri, "REDIS_URL": stack.redis_url, "LOG_FORMAT": "console"}
    return await stack.run("gateway", shared)


async def test_the_stream_goes_on_past_it_also_where_it_begins_with_it(stack: Stack) -> None:
    watcher = await stack.watcher()
    await stack.orders.insert_one({**JOHN})
    await insert(stack)
    await stack.orders.insert_one({**JOHN})
    log = await stack.log_of(3)
    assert [each["data"] is None for each in log] == [False, True, False]
    await watcher.stop()
    order = await insert(stack)
    await stack.orders.insert_one({**JOHN})
    await watcher.start()
    log = await stack.log_of(5)
    assert [(each["id"] == order, each["data"] is None) for each in log[3:]] == [(True, True), (False, False)]


async def test_a_change_that_cannot_be_read_at_all_ends_an_epoch_and_not_the_stream(stack: Stack) -> None:
    """The token of a change has the id of its order twice as long, and the change has both: too much for MongoDB."""
    watcher = await stack.watcher()
    first = await stack.epoch()
    await stack.orders.drop_indexes()  # each has the id: together too much for the cache of a small MongoDB
    await stack.orders.insert_one({"_id": "x" * 5_700_000, **JOHN})

    async def is_over() -> bool:
        return await stack.epoch() != first

    await until(is_over, "a new epoch has begun")
    await stack.orders.insert_one({"_id": "after", **JOHN})
    assert [each["id"] for each in await stack.log_of(1)] == ["after"]
    assert watcher.output.count("A new epoch begins") == 1


async def test_lists_exports_and_snapshots_have_it_and_it_can_be_changed_and_deleted(stack: Stack) -> None:
    await stack.watcher()
    gateway = await gateway_of(stack)
    await stack.orders.insert_many([{**JOHN} for _ in range(3)])
    order = await insert(stack)
    shown = {"_id": order, **JOHN, "old": base64.b64encode(_ELEMENT).decode()}
    address = f"{gateway.url}/api/orders"
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, path: str, status: int = 200, **more: Any) -> str:
            async with session.request(method, address + path, **more) as response:
                assert response.status == status
                return await response.text()

        for query in ("", "?sort=status", "?status=pending", "?fields=old"):
            orders = json.loads(await ask("GET", query))
            assert len(orders) == 4
            assert order in [each["_id"] for each in orders]
        assert (await ask("GET", "", headers={"Accept": "text/csv"})).count("\n") == 5
        lines = (await ask("GET", "", headers={"Accept": "application/x-ndjson"})).splitlines()
        assert shown in map(json.loads, lines)
        assert json.loads(await ask("GET", f"/{order}")) == shown
        assert json.loads(await ask("GET", f"/{order}/history"))["changes"][0]["operation"] == "INSERT"
        async with session.get(address, headers={"Accept": "text/event-stream"}) as response:
            told = b""
            while b"event: live" not in told:
                told += await response.content.readany()
        assert order.encode() in told
        changed = json.loads(await ask("PUT", f"/{order}", json={"status": "shipped"}))
        assert (changed["status"], changed["old"]) == ("shipped", shown["old"])
        batch = [{"operation": "UPDATE", "id": order, "order": {"status": "delivered"}}]
        await ask("POST", ":batch", json={"operations": batch})
        assert json.loads(await ask("DELETE", f"/{order}"))["status"] == "delivered"
        await ask("GET", f"/{order}", 404)
