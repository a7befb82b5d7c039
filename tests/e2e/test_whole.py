"""Every stock client gets every change, over every transport, however an order was changed."""

import json
from contextlib import AsyncExitStack

import aiohttp
import socketio

from tests.e2e.clients import Listener, curl, node, run
from tests.e2e.conftest import Product
from tests.waiting import HANGS, until

JOHN = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}


async def test_each_write_reaches_every_client_over_every_transport(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    async with AsyncExitStack() as stack:
        upgraded = await stack.enter_async_context(node(gateway.url, ["polling", "websocket"]))
        python = Listener()
        clients: dict[str, Listener] = {
            "websocket": await stack.enter_async_context(node(gateway.url)),
            "polling": await stack.enter_async_context(node(gateway.url, ["polling"])),
            "upgrade": upgraded,
            "curl": await stack.enter_async_context(curl(f"{gateway.url}/api/orders/events")),
            "python": python,
        }
        sio = socketio.AsyncClient(request_timeout=HANGS)
        sio.on("orderUpdate", lambda envelope, _: python.updates.append(envelope))
        await sio.connect(gateway.url, wait_timeout=HANGS)
        stack.push_async_callback(sio.shutdown)

        direct = str((await product.orders.insert_one({**JOHN})).inserted_id)
        base = f"{gateway.url}/api/orders"
        json_type = ["-H", "Content-Type: application/json"]
        made = json.loads(await run("curl", "-s", "-X", "POST", base, *json_type, "-d", json.dumps(JOHN)))
        one = f"{base}/{made['_id']}"
        changed = json.loads(await run("curl", "-s", "-X", "PUT", one, *json_type, "-d", '{"status":"shipped"}'))
        assert json.loads(await run("curl", "-s", one)) == changed
        status = await run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "DELETE", one)
        assert status == "200"

        for name, client in clients.items():
            told = await client.has(4)
            assert [(each["operation"], each["id"]) for each in told] == [
                ("INSERT", direct),
                ("INSERT", made["_id"]),
                ("UPDATE", made["_id"]),
                ("DELETE", made["_id"]),
            ], name
            assert told == clients["websocket"].updates, name
            assert [each["data"] for each in told[1:]] == [made, changed, changed], name
        await until(lambda: upgraded.heard("upgrade"), "the client has upgraded")
        assert upgraded.heard("upgrade")[0]["transport"] == "websocket"


async def test_filters_are_set_by_event_and_by_query_and_report_orders_that_left(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    async with (
        node(gateway.url) as client,
        node(gateway.url, auth={"filter": {"status": "shipped"}}) as first,
        curl(f"{gateway.url}/api/orders/events?status=shipped") as stream,
    ):
        client.ask("emit", args=["subscribe", {"status": "shipped"}])
        client.ask("emit", args=["subscribe", {"status": 7}])
        await client_acks(client, 2)
        good, bad = (line["answer"] for line in client.heard("ack"))
        assert set(good) == {"cursor"}
        assert bad["error"]["field"] == "status"

        order = (await product.orders.insert_one({**JOHN})).inserted_id
        await product.orders.update_one({"_id": order}, {"$set": {"status": "shipped"}})
        await product.orders.update_one({"_id": order}, {"$set": {"status": "delivered"}})
        await product.orders.delete_one({"_id": order})
        last = (await product.orders.insert_one({**JOHN, "status": "shipped"})).inserted_id
        for each in (client, first, stream):
            told = await each.has(3)
            assert [(one["operation"], one["id"], one.get("left")) for one in told] == [
                ("UPDATE", str(order), None),
                ("DELETE", str(order), True),
                ("INSERT", str(last), None),
            ]
            assert told[1]["data"] is None

        client.ask("emit", args=["unsubscribe"])
        await client_acks(client, 3)
        client.ask("emit", args=["subscribe", {"ids": [str(last)]}])
        await client_acks(client, 4)
        await product.orders.delete_one({"_id": last})
        assert (await client.has(4))[3]["operation"] == "DELETE"


async def client_acks(client: Listener, count: int) -> None:
    await until(lambda: len(client.heard("ack")) >= count, f"{count} answers")


async def test_the_list_says_from_where_on_to_listen(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.url}/api/orders") as reply:
        cursor = reply.headers["Stream-Cursor"]
        assert await reply.json() == []
    await product.orders.insert_one({**JOHN})
    async with (
        node(gateway.url, auth={"since": cursor}) as client,
        curl(f"{gateway.url}/api/orders/events?since={cursor}") as stream,
    ):
        await product.orders.insert_one({**JOHN})
        assert [each["operation"] for each in await client.has(2)] == ["INSERT", "INSERT"]
        assert await stream.has(2) == client.updates
