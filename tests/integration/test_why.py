"""Why a client was told to resync, was refused or sees old data: the log says so, under the id that the client has."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient

from tests.conftest import OwnValkey, RunService
from tests.service_process import ServiceProcess
from tests.waiting import until

UNKNOWN = "00000000.1-1"
EVENTS = "/api/orders/events"


def lines(service: ServiceProcess, sentence: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == sentence]


async def heard(stream: aiohttp.StreamReader, name: str) -> dict[str, Any]:
    """Return the payload of the next event of this name over SSE."""
    current = ""
    while line := (await stream.readline()).decode().rstrip("\n"):
        if line.startswith("event: "):
            current = line.removeprefix("event: ")
        elif line.startswith("data: ") and current == name:
            payload: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return payload
    return await heard(stream, name)


@asynccontextmanager
async def socketio(gateway: ServiceProcess, auth: dict[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{gateway.url}/socket.io/?EIO=4&transport=websocket") as socket,
    ):
        await socket.receive()
        await socket.send_str("40" + json.dumps(auth))
        yield socket


async def told(socket: aiohttp.ClientWebSocketResponse, name: str) -> dict[str, Any]:
    """Return the payload of the next event of this name over Socket.IO."""
    while True:
        text = (await socket.receive()).data
        if text.startswith("42"):
            event, payload, *_ = json.loads(text[2:])
            if event == name:
                found: dict[str, Any] = payload
                return found


async def test_a_client_that_must_resync_is_in_the_log_under_the_id_that_it_was_told(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    await run_service("watcher", settings)
    gateway = await run_service("gateway", settings)
    async with aiohttp.ClientSession(gateway.url) as session, session.get(EVENTS, params={"since": UNKNOWN}) as stream:
        connected, resync = await heard(stream.content, "connected"), await heard(stream.content, "resync")
    async with socketio(gateway, {"since": UNKNOWN}) as socket:
        also_connected, also_resync = await told(socket, "connected"), await told(socket, "resync")
    assert resync["reason"] == also_resync["reason"] == "epoch_unknown"
    logged = [(line["incident"], line["client"], line["cursor"]) for line in lines(gateway, "A client must resync")]
    assert logged == [
        (resync["incident"], connected["id"], UNKNOWN),
        (also_resync["incident"], also_connected["id"], UNKNOWN),
    ]
    assert await gateway.metric('orders_gateway_resyncs_total{reason="epoch_unknown"}') == 2


async def test_when_history_breaks_there_is_one_line_for_all_clients(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    await run_service("watcher", settings)
    gateway = await run_service("gateway", settings)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client, aiohttp.ClientSession(gateway.url) as session, session.get(EVENTS) as stream:
        await heard(stream.content, "connected")
        async with socketio(gateway, {}) as socket:
            await told(socket, "connected")
            orders = client.get_default_database()["orders"]
            await orders.insert_one({"status": "pending"})
            await orders.drop()
            ids = {(await heard(stream.content, "resync"))["incident"], (await told(socket, "resync"))["incident"]}
    [line] = lines(gateway, "A new epoch has begun, all clients must resync")
    assert (line["reason"], line["clients"], {line["incident"]}) == ("collection_dropped", 2, ids)
    assert await gateway.metric('orders_gateway_resyncs_total{reason="collection_dropped"}') == 2


async def test_refusals_leave_a_line_when_they_begin_and_when_they_end(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "MAX_CONNECTIONS": "1"}
    await run_service("watcher", settings)
    gateway = await run_service("gateway", settings)
    async with aiohttp.ClientSession(gateway.url) as session:
        async with session.get(EVENTS) as stream:
            await heard(stream.content, "connected")
            for _ in range(3):
                async with session.get(EVENTS) as refused:
                    assert refused.status == 503
        await until(lambda: lines(gateway, "There is room for clients again"), "the end is logged")
        for _ in range(3):
            async with session.get("/api/orders", headers={"Origin": "https://evil.example"}) as refused:
                assert refused.status == 403
    assert len(lines(gateway, "This gateway is full, clients are refused")) == 1
    [line] = lines(gateway, "Refused a page of another origin; if it is ours, add it to CORS_ORIGINS")
    assert (line["origin"], line["unlogged_before"]) == ("https://evil.example", 0)


async def test_stale_data_is_logged_when_it_begins_and_ends_and_no_error_is_empty(
    run_service: RunService, mongodb_uri: str, own_valkey: OwnValkey
) -> None:
    valkey = await own_valkey()
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": valkey.uri(), "STALE_SECONDS": "1"}
    watcher, gateway = await run_service("watcher", settings), await run_service("gateway", settings)
    valkey.pause()  # commands end by a TimeoutError, which has no text
    await until(lambda: lines(gateway, "Clients are told that their data may be old"), "it begins")
    await until(lambda: lines(watcher, "redis failed, retrying"), "the watcher notices too")
    valkey.resume()
    await until(lambda: lines(gateway, "Clients are told that their data is current again"), "it ends")
    assert len(lines(gateway, "Clients are told that their data may be old")) <= 2  # the reason may change
    for service in (watcher, gateway):
        assert '"error": ""' not in service.output
