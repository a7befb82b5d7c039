"""Every task that must run as long as its service: if it ends by itself, the service ends and names it."""

import ast
import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from services.commands.setup_db import setup
from services.common.tasks import TaskEnded, Tasks
from services.embedded.ports import free_port as unused_port
from services.front.front import Front
from services.gateway import app as gateway_app
from services.gateway.edge.key_source import PublishedKeys
from services.gateway.feed import Feed
from services.gateway.live import orders_namespace
from services.gateway.live.client import LiveClient
from services.gateway.live.orders_namespace import LiveOrders
from services.gateway.replays import Replays
from services.gateway.revoking import Revoking
from services.gateway.settings import GatewaySettings
from services.gateway.shared_limits import SharedLimits
from services.gateway.shared_secret import SharedSecret
from services.gateway.sse.endpoint import SseTransport
from services.gateway.sse.stream import SseStream
from services.gateway.store import OrderStore
from services.mongodb.collection_kind import CollectionKind
from services.watcher import app as watcher_app
from services.watcher import lease
from services.watcher.leader import Leader
from services.watcher.log_upkeep import LogUpkeep
from services.watcher.oplog import OplogWindow
from services.watcher.publisher import Fenced
from services.watcher.settings import WatcherSettings
from services.watcher.state import LeaseLost
from tests.conftest import RunService
from tests.service_process import ServiceProcess
from tests.waiting import HANGS, cancel_all, until

GATEWAY = [
    (Feed, "_compare_positions", "comparing positions with Redis"),
    (Feed, "_follow_channel", "listening to Redis"),
    (Feed, "_watch_staleness", "watching for staleness"),
    (SharedLimits, "keep_shared", "sharing what clients use"),
    (OrderStore, "keep_checked", "checking MongoDB"),
    (SharedSecret, "follow", "following the secret of session ids"),
    (Replays, "_supervise", "supervising replays"),
    (Replays, "_run_passes", "reading the oplog (1)"),
    (PublishedKeys, "follow", "following the keys of tokens"),
    (Revoking, "follow", "following revocations"),
    (Revoking, "listen", "listening for revocations"),
    (SseTransport, "send_heartbeats", "SSE heartbeats"),
    (LiveOrders, "send_marks", "Socket.IO marks"),
    (Front, "_watch_descriptors", "watching file descriptors"),
]
WATCHER = [
    (Leader, "_follow_forever", "following the change stream"),
    (Leader, "_save_periodically", "saving the checkpoint"),
    (OplogWindow, "watch", "watching the oplog"),
    (lease, "hold", "holding the lease"),
    (LogUpkeep, "watch", "keeping the log short"),
    (CollectionKind, "keep_checked", "checking the collection"),
    (watcher_app, "watch_memory", "watching the memory of Redis"),
    (Front, "_watch_descriptors", "watching file descriptors"),
]


# Whose keys are fetched, so that all tasks run; nobody has to answer there.
WITH_TOKENS = {"jwt_jwks": "http://127.0.0.1:9/", "jwt_issuer": "us", "jwt_audience": "orders", "auth": "jwt"}


def returning_once() -> Callable[..., Any]:
    """Return work that ends at once for the first who asks for it, without an error: the end that is easiest to miss.

    `test_tasks` has the other ends. Of tasks that run twice, one ends, so that the service has one reason to end.
    """
    ended: list[None] = []

    async def work(*_: object) -> None:
        if ended:
            await asyncio.Event().wait()
        ended.append(None)

    return work


@pytest.fixture(autouse=True)
def leave_the_garbage_collector_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for app in (gateway_app, watcher_app):
        monkeypatch.setattr(app, "tune_gc", lambda: None)


def test_each_task_that_is_kept_is_made_to_end_here() -> None:
    services = Path(__file__).parents[2] / "services"
    kept = {name for file in services.rglob("*.py") for name in _kept(ast.parse(file.read_text("utf-8")))}
    assert kept == {name for _, _, name in (*GATEWAY, *WATCHER)}


def _kept(source: ast.AST) -> Iterator[str]:
    """Find the names in `….keep("name", …)`; in `f"name ({number})"` the number is 1."""
    for call in ast.walk(source):
        match call:
            case ast.Call(func=ast.Attribute(attr="keep"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case ast.Call(func=ast.Attribute(attr="keep"), args=[ast.JoinedStr(values=parts), *_]):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)


@pytest.mark.parametrize(("where", "task", "name"), GATEWAY, ids=[name for _, _, name in GATEWAY])
async def test_a_gateway_does_not_go_on_without_one(
    monkeypatch: pytest.MonkeyPatch,
    mongodb_uri: str,
    redis_url: str,
    free_port: Callable[[], int],
    where: object,
    task: str,
    name: str,
) -> None:
    monkeypatch.setattr(where, task, returning_once())
    # Clients get no drain time: without the task they would wait for changes that do not come.
    settings = _gateway(mongodb_uri, redis_url, free_port(), drain_seconds=600, **WITH_TOKENS)
    async with asyncio.timeout(30) as limit:
        with pytest.raises(TaskEnded, match=re.escape(f"the task {name!r} has ended")):
            await gateway_app.run(settings)
    assert not limit.expired()


@pytest.mark.parametrize(("where", "task", "name"), WATCHER, ids=[name for _, _, name in WATCHER])
async def test_a_watcher_does_not_go_on_without_one(
    monkeypatch: pytest.MonkeyPatch,
    mongodb_uri: str,
    redis_url: str,
    free_port: Callable[[], int],
    where: object,
    task: str,
    name: str,
) -> None:
    monkeypatch.setattr(where, task, returning_once())
    settings = WatcherSettings(mongodb_uri=mongodb_uri, redis_url=redis_url, watcher_port=free_port(), lease_seconds=1)
    async with asyncio.timeout(30) as limit:
        with pytest.raises(TaskEnded, match=re.escape(f"the task {name!r} has ended")):
            await watcher_app.run(settings)
    assert not limit.expired()


async def test_a_watcher_whose_tasks_end_together_with_its_term_stands_by(
    monkeypatch: pytest.MonkeyPatch, mongodb_uri: str, redis_url: str, free_port: Callable[[], int]
) -> None:
    """After it was frozen, the log and the lease tell it at the same time that its term is over."""
    terms: list[int] = []
    leads_again = asyncio.Event()

    async def lead(leader: Leader) -> None:
        terms.append(leader._term)
        if len(terms) == 1:
            inner = ExceptionGroup("of the leader's tasks", [Fenced(7), LeaseLost("another watcher leads")])
            raise ExceptionGroup("of the term's tasks", [inner, LeaseLost("another watcher leads")])
        leads_again.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(Leader, "lead", lead)
    settings = WatcherSettings(mongodb_uri=mongodb_uri, redis_url=redis_url, watcher_port=free_port(), lease_seconds=1)
    watcher = asyncio.create_task(watcher_app.run(settings))
    await asyncio.wait({watcher, asyncio.create_task(leads_again.wait())}, timeout=30, return_when="FIRST_COMPLETED")
    assert leads_again.is_set()
    assert terms[1] > 7
    await cancel_all(watcher)


def _gateway(mongodb_uri: str, redis_url: str, port: int, **more: Any) -> GatewaySettings:
    # With ports of its own: other tests run at the same time, and so may a stack on this machine.
    ports: dict[str, Any] = {"port": port, "admin_port": unused_port()}
    return GatewaySettings(mongodb_uri=mongodb_uri, redis_url=redis_url, host="127.0.0.1", **ports, **more)


async def test_a_task_that_fails_during_a_drain_ends_it(
    monkeypatch: pytest.MonkeyPatch,
    run_service: RunService,
    mongodb_uri: str,
    redis_url: str,
    free_port: Callable[[], int],
) -> None:
    failing = asyncio.Event()

    async def send_marks(_: LiveOrders) -> None:
        await failing.wait()
        raise LookupError("odd")

    monkeypatch.setattr(LiveOrders, "send_marks", send_marks)
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    await run_service("watcher", {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url})
    settings = _gateway(mongodb_uri, redis_url, free_port(), drain_seconds=600)
    gateway = asyncio.create_task(gateway_app.run(settings))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{settings.port}") as http:
        await until(lambda: _answers(http, ""), "the gateway answers")
        async with http.get("/api/orders/events") as stream:
            gateway.cancel()  # as SIGTERM does
            await until(lambda: _answers(http, "", 503), "it drains")
            failing.set()
            async with asyncio.timeout(30):
                with pytest.raises(TaskEnded, match=r"'Socket\.IO marks' has ended"):
                    await gateway
            stream.close()


class Broken(ServiceProcess):
    """A gateway one of whose tasks fails a moment after its first client has come."""

    def argv(self) -> list[str]:
        script = (
            "import asyncio\n"
            "from services.gateway.live.orders_namespace import LiveOrders\n"
            "async def send_marks(self):\n"
            "    while not self._clients:\n"
            "        await asyncio.sleep(0.01)\n"
            "    raise LookupError('odd')\n"
            "LiveOrders.send_marks = send_marks\n"
            "from services.gateway.__main__ import main\n"
            "main()\n"
        )
        return [sys.executable, "-c", script]


async def test_the_process_ends_with_code_1_and_the_name_in_its_log(
    run_service: RunService, mongodb_uri: str, redis_url: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    environment = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    await run_service("watcher", environment)
    port = free_port()
    settings = {**environment, "PORT": str(port), "DRAIN_SECONDS": "600"}
    async with Broken(service="gateway", port=port, folder=tmp_path, settings=settings) as gateway:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{gateway.url}/socket.io/?EIO=4&transport=websocket") as socket,
        ):
            await socket.send_str("40")
            async with asyncio.timeout(HANGS):
                assert await gateway.wait() == 1
        assert "the task 'Socket.IO marks' has ended: LookupError: odd" in gateway.output


async def test_an_error_of_one_client_costs_that_client_only(
    monkeypatch: pytest.MonkeyPatch,
    run_service: RunService,
    mongodb_uri: str,
    redis_url: str,
    free_port: Callable[[], int],
) -> None:
    """Heartbeats and marks go to all clients in one task; if one client raises, the others still get theirs."""
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    await run_service("watcher", {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url})
    monkeypatch.setattr(orders_namespace, "MARK_SECONDS", 0.1)
    monkeypatch.setattr(SseStream, "beat", _failing_for_the_first(SseStream.beat))
    monkeypatch.setattr(LiveClient, "mark", _failing_for_the_first(LiveClient.mark))
    settings = _gateway(mongodb_uri, redis_url, free_port(), drain_seconds=0, sse_heartbeat_seconds=0.1)
    url = f"http://127.0.0.1:{settings.port}"
    async with (
        aiohttp.ClientSession() as http,
        AsyncMongoClient[dict[str, Any]](mongodb_uri) as client,
        Tasks() as tasks,
    ):
        tasks.keep("gateway", gateway_app.run(settings))
        await until(lambda: _answers(http, url), "the gateway answers")
        told: list[list[str]] = [[], [], [], []]
        for lines in told[:2]:
            tasks.spawn("SSE client", _stream(http, url, lines))
        for lines in told[2:]:
            tasks.spawn("Socket.IO client", _socket(http, url, lines))
        tasks.keep("writing", _write(client.get_default_database()["orders"]))  # so that there is something to mark
        for pair, sign in ((told[:2], "id:"), (told[2:], '"mark"')):
            await until(lambda: [lines[-1:] for lines in pair].count(["closed"]) == 1, "one of the two is closed")  # noqa: B023
            other = next(lines for lines in pair if lines[-1:] != ["closed"])
            count = len(other)
            await until(lambda: any(sign in line for line in other[count:]), "the other is served")  # noqa: B023
        of_streams = [task for task in asyncio.all_tasks() if "EventSourceResponse" in repr(task.get_coro())]
        assert of_streams == [], "aiohttp-sse's own heartbeats are stopped"


async def _stream(http: aiohttp.ClientSession, url: str, lines: list[str]) -> None:
    async with http.get(f"{url}/api/orders/events?status=pending") as response:
        with suppress(aiohttp.ClientError):
            async for line in response.content:
                lines.append(line.decode())  # noqa: PERF401 - they are looked at meanwhile
    lines.append("closed")


async def _socket(http: aiohttp.ClientSession, url: str, lines: list[str]) -> None:
    async with http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket") as socket:
        await socket.send_str('40{"filter":{"status":["pending"]}}')
        async for message in socket:
            lines.append(message.data)  # noqa: PERF401 - as above
    lines.append("closed")


async def _write(orders: AsyncCollection[dict[str, Any]]) -> None:
    while True:
        await orders.insert_one({"status": "shipped"})
        await asyncio.sleep(0.02)


def _failing_for_the_first(method: Callable[..., None]) -> Callable[..., None]:
    first: list[object] = []

    def tried(client: object, *args: object) -> None:
        if not first:
            first.append(client)
        if first[:1] == [client]:
            raise LookupError("odd")
        method(client, *args)

    return tried


async def _answers(http: aiohttp.ClientSession, url: str, status: int = 200) -> bool:
    try:
        async with http.get(f"{url}/readyz") as response:
            return response.status == status
    except aiohttp.ClientError:
        return False
