"""A server of the transports within a test: it can be spoken to, it counts, and it must be empty in the end."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from services.front.bodies import drain_unread_body, refuse_encoded
from services.front.checks import add_headers_to_all, checking
from services.front.connections import ConnectionBounds, Connections, State
from services.front.front import Front
from services.front.runner import Runner
from services.gateway.edge.entrance import Entrance
from services.gateway.edge.fast_path import websocket_fast_path
from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.origin import OriginPolicy
from services.gateway.edge.peer import Peers
from services.gateway.engineio.server import EngineServer
from services.gateway.engineio.session import Accept, Session
from services.gateway.engineio.settings import EngineSettings
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.http.entrance import check_entrance
from services.gateway.socketio.server import Namespace, SocketServer
from tests.unit.websocket_client import frame
from tests.waiting import HANGS

T = TypeVar("T")
TEXT = {"Content-Type": "text/plain;charset=UTF-8"}


class Ledger:
    """The server's counts, and a way to wait for them."""

    def __init__(self) -> None:
        self.incidents: Counter[IncidentKind] = Counter()
        self.requests = 0  # that have reached their handlers
        self.happened = asyncio.Event()

    def count(self, incident: IncidentKind) -> None:
        self.incidents[incident] += 1
        self.happened.set()

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request; its handler goes on to its first wait before whoever waits for the count."""
        self.requests += 1
        self.happened.set()
        return await handler(request)


@dataclass
class Running:
    """The server's address, and its counts."""

    port: int
    path: str
    http: aiohttp.ClientSession
    connections: Callable[[], int]
    http_server: web.Server  # aiohttp's, behind the front
    ledger: Ledger
    close: Callable[[float], Awaitable[None]]

    @property
    def incidents(self) -> Counter[IncidentKind]:
        return self.ledger.incidents

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def query(self, transport: str, **more: str) -> dict[str, str]:
        return {"EIO": "4", "transport": transport, **more}

    async def get(self, sid: str, **headers: str) -> tuple[int, str]:
        async with self.http.get(self.url, params=self.query("polling", sid=sid), headers=headers) as response:
            return response.status, await response.text()

    async def post(self, sid: str, body: str | bytes, **headers: str) -> tuple[int, str]:
        params, headers = self.query("polling", sid=sid), {**TEXT, **headers}
        async with self.http.post(self.url, params=params, data=body, headers=headers) as response:
            return response.status, await response.text()

    async def open_polling(self) -> str:
        """Begin a session over polling; return its sid."""
        async with self.http.get(self.url, params=self.query("polling")) as response:
            handshake: dict[str, Any] = json.loads((await response.text())[1:])
        return str(handshake["sid"])

    @asynccontextmanager
    async def websocket(self, **more: str) -> AsyncIterator["WebSocket"]:
        """Give a websocket on which nothing has been received yet."""
        url = self.url.replace("http", "ws", 1)
        query = {**self.query("websocket"), **more}
        async with self.http.ws_connect(url, params=query, autoping=False) as socket:
            yield WebSocket(socket)

    @asynccontextmanager
    async def session(self) -> AsyncIterator["WebSocket"]:
        """Give a websocket after its Engine.IO handshake."""
        async with self.websocket() as socket:
            assert (await socket.receive())[:1] == "0"
            yield socket

    async def held(self, request: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Send a request that is not answered at once; return when the server has it."""
        before = self.ledger.requests
        sent = asyncio.create_task(request)
        await self.until(lambda: self.ledger.requests > before)
        return sent

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds after something was counted or closed."""
        async with asyncio.timeout(HANGS):
            await self._until(condition)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.ledger.happened.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ledger.happened.wait(), 0.02)

    async def counted(self, incident: IncidentKind) -> None:
        """Wait until the server has counted the incident."""
        await self.until(lambda: self.incidents[incident] > 0)


class WebSocket:
    """The client's end of a websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket

    async def send(self, *packets: str | bytes) -> None:
        for packet in packets:
            if isinstance(packet, bytes):
                await self.raw.send_bytes(packet)
            else:
                await self.raw.send_str(packet)

    async def send_at_once(self, *packets: str) -> None:
        """Send packets in one segment."""
        self.raw._writer.transport.write(b"".join(frame(1, packet.encode()) for packet in packets))

    async def receive(self) -> str | bytes:
        """Return the next message that is not a ping."""
        while True:
            message = await self.raw.receive(timeout=HANGS)
            assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, message
            data: str | bytes = message.data
            if data != "2":
                return data

    async def closed(self) -> int | None:
        """Receive until the server closes; return its close code."""
        while (await self.raw.receive(timeout=HANGS)).type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            pass
        return self.raw.close_code


@asynccontextmanager
async def engine_server(
    accept: Accept, settings: EngineSettings, origins: OriginPolicy | None = None, peers: Peers | None = None
) -> AsyncIterator[Running]:
    """Run an Engine.IO server."""
    ledger = Ledger()
    entrance = Entrance(None, origins, peers, ledger.count)
    server = EngineServer(accept, settings, ledger.count, entrance=entrance)
    app = web.Application(middlewares=[checking(check_entrance(entrance))])
    add_headers_to_all(app, entrance.origins.add_headers)
    server.attach(app)
    async with _serve(app, "/engine.io/", lambda: len(server.sessions), ledger, server) as running:
        yield running


@asynccontextmanager
async def socket_server(namespaces: Mapping[str, Namespace[Any]], settings: EngineSettings) -> AsyncIterator[Running]:
    """Run a Socket.IO server."""
    ledger = Ledger()
    server = SocketServer(namespaces, settings, ledger.count)
    app = web.Application()
    server.attach(app)
    async with _serve(app, "/socket.io/", lambda: len(server), ledger, server) as running:
        yield running


@asynccontextmanager
async def _serve(
    app: web.Application,
    path: str,
    connections: Callable[[], int],
    ledger: Ledger,
    server: EngineServer | SocketServer,
) -> AsyncIterator[Running]:
    before = asyncio.all_tasks()
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    app.middlewares.extend([drain_unread_body, checking(refuse_encoded), ledger.note])
    runner = Runner(app)
    await runner.setup()
    http_server = runner.server
    assert http_server is not None
    bounds = ConnectionBounds(total=10_000, per_address=10_000, last_descriptor=1_000_000)
    places = Connections(bounds, lambda refusal: ledger.count(IncidentKind(refusal.value)))
    front = Front(http_server, places, websocket_fast_path(server.open))
    try:
        async with (
            front.listening("127.0.0.1", 0) as port,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HANGS)) as http,
        ):
            yield Running(port, path, http, connections, http_server, ledger, server.close)
            await server.close(0)
    finally:  # or uvloop, where warnings are errors, never gets its loop closed
        await runner.cleanup()
    assert connections() == 0
    engine = server if isinstance(server, EngineServer) else server._engine
    assert len(engine.sessions.unsent) == 0, "something waits for clients that have gone"
    await _nothing_left(before)
    assert len(engine.sessions.registry) == 0, "a place is kept for a client that has gone"
    assert places.census() == dict.fromkeys(State, 0)
    assert not escaped, escaped


async def _nothing_left(tasks_before: set[asyncio.Task[Any]]) -> None:
    """Let the loop finish the last closes, then look for anything that outlived the server."""
    mine = tasks_before | {asyncio.current_task()}
    with suppress(TimeoutError):
        async with asyncio.timeout(HANGS):
            while asyncio.all_tasks() - mine:  # noqa: ASYNC110  # nothing tells when a task is the last
                await asyncio.sleep(0)
    assert not asyncio.all_tasks() - mine, asyncio.all_tasks() - mine
    gc.collect()
    left = [thing for thing in gc.get_objects() if isinstance(thing, (Session, WebSocketConnection))]
    assert not left, left


async def join(socket: WebSocket, packet: str = '40{"name":"Ann"}') -> dict[str, Any]:
    """Connect to the default namespace; return the fields of the reply."""
    await socket.send(packet)
    reply = str(await socket.receive())
    assert reply.startswith("40{")
    fields: dict[str, Any] = json.loads(reply[2:])
    return fields
