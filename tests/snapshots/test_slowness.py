"""Clients that take the orders slowly, or not at all, cost a bounded amount of memory and nobody else's time."""

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers import Servers
from tests.snapshots.conftest import Scene, scene_on
from tests.snapshots.followers import UNLIMITED, Follower, following
from tests.waiting import HANGS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 50_000
REQUEST = b"GET /api/orders HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


def memory(pid: int) -> int:
    """Return the resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


async def filled(scene: Scene) -> None:
    order = {"customer_name": "Ada", "product_name": "x" * 200, "status": "pending"}
    for first in range(0, MANY, 10_000):
        await scene.orders.insert_many([{**order, "number": first + number} for number in range(10_000)])


async def test_fifty_thousand_orders_take_no_memory_however_slowly_they_are_read(emptied: Scene) -> None:
    await filled(emptied)
    gateway = await emptied.start("gateway", CLIENT_STALL_SECONDS="60")
    assert gateway.pid is not None
    hasty = Follower()
    async with following(gateway.url, "sse", hasty):  # the first one fills what is kept for others, too
        await hasty.has("live", seconds=HANGS)
        assert len(hasty.rows) == MANY
    before = memory(gateway.pid)
    # Of a slow client 4 KiB are read at a time: it takes its share of 18 MB while the others are done.
    slow = [await _slow(gateway.port) for _ in range(30)]
    try:
        for _ in range(20):
            for each in slow:
                await asyncio.get_running_loop().sock_recv(each, 4096)
        quick = Follower()
        async with following(gateway.url, "websocket", quick):
            await quick.has("live", seconds=HANGS)
            assert len(quick.rows) == MANY
        assert memory(gateway.pid) - before < 40, "thirty slow clients of 18 MB each"
        last = await emptied.orders.insert_one({"customer_name": "Eve"})
        text = await asyncio.wait_for(_rest(slow[0], str(last.inserted_id).encode()), HANGS)
        assert text.count(b'"_id"') >= MANY - 500, "it gets all of it, and the change after it"
        assert b"event: live" in text
    finally:
        for each in slow:
            each.close()


async def _slow(port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    found.setblocking(False)
    await loop.sock_connect(found, ("127.0.0.1", port))
    await loop.sock_sendall(found, REQUEST)
    return found


async def _rest(connection: socket.socket, until_there: bytes) -> bytes:
    loop, parts, tail = asyncio.get_running_loop(), [], b""
    while until_there not in tail:
        part = await loop.sock_recv(connection, 1 << 20)
        if not part:
            break
        parts.append(part)
        tail = (tail + part)[-4096:] if len(part) < 4096 else tail[-100:] + part
    return b"".join(parts)


async def test_a_client_that_stops_reading_inside_is_dropped_as_slow(emptied: Scene) -> None:
    order = {"customer_name": "Ada", "product_name": "x" * 20_000, "status": "pending"}
    await emptied.orders.insert_many([dict(order) for _ in range(1000)])
    gateway = await emptied.start("gateway", CLIENT_STALL_SECONDS="1")
    stuck = await _slow(gateway.port)
    sio = f"{gateway.url}/socket.io/?EIO=4&transport=websocket"
    try:
        async with aiohttp.ClientSession(timeout=UNLIMITED) as session, session.ws_connect(sio) as websocket:
            await websocket.receive_str()
            await websocket.send_str("40{}")
            await websocket.receive_str()
            assert websocket._response.connection is not None
            transport: Any = websocket._response.connection.transport
            await websocket.send_str('42["subscribe",{"snapshot":true}]')
            transport.pause_reading()
            name = 'orders_gateway_disconnects_total{reason="slow consumer",transport="%s"}'
            for each in ("sse", "websocket"):
                await until(lambda: _counted(gateway, name % each), f"the client over {each} is dropped")  # noqa: B023
    finally:
        stuck.close()


async def _counted(gateway: Any, sample: str) -> bool:
    return bool(await gateway.metric(sample) == 1)


async def test_a_moment_that_mongodb_has_forgotten_is_told_and_another_is_shown(
    session_servers: Servers, tmp_path: Path
) -> None:
    async with scene_on(session_servers, tmp_path) as scene:
        await scene.start("watcher")
        gateway = await scene.start("gateway", CLIENT_STALL_SECONDS="60")
        order = {"customer_name": "Ada", "product_name": "x" * 20_000, "status": "pending"}
        await scene.orders.insert_many([dict(order) for _ in range(600)])
        sio = f"{gateway.url}/socket.io/?EIO=4&transport=polling"
        admin = scene.orders.database.client.admin
        async with aiohttp.ClientSession() as session:
            async with session.get(sio) as reply:
                address = f"{sio}&sid={json.loads((await reply.text())[1:])['sid']}"
            events: list[Any] = []

            async def post(text: str) -> None:
                async with session.post(address, data=text) as reply:
                    assert reply.status == 200

            async def poll() -> None:
                async with session.get(address) as reply:
                    for packet in (await reply.text()).split("\x1e"):
                        if packet == "2":
                            await post("3")
                        elif packet.startswith("42"):
                            events.append(json.loads(packet[2:]))

            await post("40{}")
            await poll()
            await post('42["subscribe",{"snapshot":true}]')
            while not any(event[0] == "snapshot" for event in events):
                await poll()
            await admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0})
            try:
                began = time.monotonic()
                while time.monotonic() < began + 3:  # writes move the oldest moment that MongoDB keeps
                    await scene.orders.database["clock"].insert_one({})
                    await asyncio.sleep(0.05)
                await poll()
            finally:
                await admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 300})
            while events[-1][0] != "live":
                await poll()
        names = [event[0] for event in events]
        resync = names.index("resync")
        assert events[resync][1]["reason"] == "snapshot_too_old"
        assert events[resync][1]["cursor"] == "snapshot"
        assert events[resync + 1][1]["part"] == 0
        shown = [order["_id"] for event in events[resync:] if event[0] == "snapshot" for order in event[1]["orders"]]
        assert len(shown) == len(set(shown)) == events[-1][1]["count"] == 600
