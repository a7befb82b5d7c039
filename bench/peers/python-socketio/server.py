"""The peer that a Python team would write first: python-socketio on aiohttp, the change stream straight to `emit`."""

import os
from typing import Any

import socketio
import uvloop
from aiohttp import web
from pymongo import AsyncMongoClient

OPERATIONS = {"insert": "INSERT", "update": "UPDATE", "replace": "UPDATE", "delete": "DELETE"}


async def announce(sio: socketio.AsyncServer, client: AsyncMongoClient[dict[str, Any]]) -> None:
    kinds = {"$match": {"operationType": {"$in": list(OPERATIONS)}}}
    orders = client.get_default_database()["orders"]
    async with await orders.watch([kinds], full_document="updateLookup") as stream:
        async for change in stream:
            order = change.get("fullDocument")
            if order is not None:
                order = {**order, "_id": str(order["_id"]), "updated_at": order["updated_at"].isoformat()}
            envelope = {
                "operation": OPERATIONS[change["operationType"]],
                "id": str(change["documentKey"]["_id"]),
                "data": order,
                "at": change["wallTime"].isoformat(),
            }
            await sio.emit("orderUpdate", envelope)


async def ready(_: web.Request) -> web.Response:
    return web.json_response({"ready": True})


async def main() -> None:
    sio = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    app.router.add_get("/readyz", ready)
    sio.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"]), backlog=4096).start()
    async with AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URI"]) as client:
        await announce(sio, client)


if __name__ == "__main__":
    uvloop.run(main())
