"""The servers that are compared, ours among them, each with its processes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import cores, network
from bench.load.tokens import SETTINGS
from services.embedded import ports
from services.embedded.server import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / "peers"
NODE_ENV = {"NODE_ENV": "production"}


@dataclass(eq=False, kw_only=True)
class Part(EmbeddedServer):
    """One process of a contestant; it is ready when ``readyz`` is 200 or, without ``has_readyz``, it prints `ready`."""

    name: str
    command: Sequence[str]
    folder: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=ports.free_port)
    host: str = "127.0.0.1"
    port_setting: str = "PORT"
    has_readyz: bool = True
    readyz: str = "/readyz"
    serves_clients: bool = True
    pinned: bool = True
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.name}.log"

    def argv(self) -> list[str]:
        return [*(cores.prefix(server=self.serves_clients) if self.pinned else []), *self.command]

    def env(self) -> Mapping[str, str]:
        return {**self.settings, self.port_setting: str(self.port)}

    def cwd(self) -> Path:
        return self.folder

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def answers(self) -> bool:
        if not self.has_readyz:
            return self.log.exists() and "ready" in self.log.read_text()
        try:
            timeout = aiohttp.ClientTimeout(total=2)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(self.url + self.readyz) as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


@dataclass(frozen=True)
class Running:
    """A running contestant: the process with the clients, and those behind it."""

    url: str
    server: int
    others: Sequence[int]
    admin_url: str | None = None  # where it serves its metrics


@dataclass(frozen=True)
class Contestant:
    """A server to compare; ``protocols`` are those of `bench.load`, by transport."""

    name: str
    protocols: Mapping[str, str]

    def __str__(self) -> str:
        return self.name

    @asynccontextmanager
    async def running(
        self, mongodb_uri: str, redis_url: str, folder: Path, *, pinned: bool = True
    ) -> AsyncIterator[Running]:
        """Run it meanwhile, in ``folder``, which is empty.

        The part that serves the clients always runs on the server's core; where ``pinned``, the other parts never do.
        """
        env = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
        async with AsyncExitStack() as stack:
            parts = PARTS[self.name](env, folder)
            for part in parts:
                part.pinned = pinned or part.serves_clients
                await stack.enter_async_context(part)
            await asyncio.sleep(0.5)  # node-seed reports ready before it has opened its change stream
            server = next(part for part in parts if part.serves_clients)
            others = [part.pid for part in parts if part is not server]
            admin_port = server.settings.get("ADMIN_PORT")
            admin_url = None if admin_port is None else f"http://127.0.0.1:{admin_port}"
            yield Running(server.url, server.pid, others, admin_url)


def _ours(env: Mapping[str, str], folder: Path) -> list[Part]:
    limits = {
        "MAX_CONNECTIONS": "20000",
        "MAX_CONNECTIONS_PER_ADDRESS": "20000",
        # The peers send none, and they would come at another place in each client's bytes.
        "SSE_HEARTBEAT_SECONDS": "3600",
        "DRAIN_SECONDS": "0",
        "ADMIN_PORT": str(ports.free_port()),
    }
    return [watcher(env, folder, serves_clients=False), _gateway({**env, **limits}, folder)]


def _guarded(env: Mapping[str, str], folder: Path) -> list[Part]:
    return _ours({**env, **SETTINGS}, folder)


def _guarded_quiet(env: Mapping[str, str], folder: Path) -> list[Part]:
    """Return it without the pings of idle clients, where the cost of an event is asked for and not theirs."""
    return _guarded({**env, "PING_INTERVAL_SECONDS": "3600"}, folder)


def _as_delivered(env: Mapping[str, str], folder: Path) -> list[Part]:
    """Return ours with its and the system's default limits, and with a log in Redis that is soon too short.

    It is reached by others: most limits are not for clients of the gateway's own machine, unless they are set.
    """
    reached = {"HOST": network.SERVER, "AUTH_NONE_ON_PUBLIC": "yes"}
    gateway = _gateway({**env, **reached, "ADMIN_PORT": "0"}, folder)
    gateway.host = network.SERVER
    gateway.command = ["sh", "-c", 'ulimit -S -n 1024 && exec "$@"', "sh", *gateway.command]
    return [watcher({**env, "LOG_MAX_EVENTS": "1200"}, folder, serves_clients=False), gateway]


def _gateway(settings: Mapping[str, str], folder: Path) -> Part:
    serve = [sys.executable, "-m", "services.gateway"]
    fixed = {"PYTHONPATH": str(ROOT), "DRAIN_DELAY_SECONDS": "0"}
    return Part(name="gateway", command=serve, folder=folder, settings={**fixed, **settings}, readyz="/readyz/stream")


def watcher(settings: Mapping[str, str], folder: Path, *, serves_clients: bool = True) -> Part:
    """Return our watcher, by default on the server's core, as where it alone is measured."""
    return Part(
        name="watcher",
        command=[sys.executable, "-m", "services.watcher"],
        folder=folder,
        settings={"PYTHONPATH": str(ROOT), **settings},
        port_setting="WATCHER_PORT",
        serves_clients=serves_clients,
    )


def _node_seed(env: Mapping[str, str], folder: Path) -> list[Part]:
    command = ["node", "--expose-gc", str(PEERS / "node-seed" / "server.js")]
    return [Part(name="node-seed", command=command, folder=folder, settings={**env, **NODE_ENV})]


def _node_redis(env: Mapping[str, str], folder: Path) -> list[Part]:
    there = PEERS / "node-redis"
    settings = {**env, **NODE_ENV}
    source, gateway = ["node", str(there / "source.js")], ["node", str(there / "gateway.js")]
    return [
        Part(
            name="node-redis-source",
            command=source,
            folder=folder,
            settings=settings,
            has_readyz=False,
            serves_clients=False,
        ),
        Part(name="node-redis", command=gateway, folder=folder, settings=settings),
    ]


def _python_socketio(env: Mapping[str, str], folder: Path) -> list[Part]:
    command = [sys.executable, str(PEERS / "python-socketio" / "server.py")]
    return [Part(name="python-socketio", command=command, folder=folder, settings=env)]


def _nchan(env: Mapping[str, str], folder: Path) -> list[Part]:
    there = PEERS / "nchan"
    port = ports.free_port()
    (folder / "modules").symlink_to(there / "root" / "usr" / "lib" / "nginx" / "modules")
    (folder / "nginx.conf").write_text((there / "nginx.conf").read_text().replace("PORT", str(port)))
    nginx = [str(there / "root" / "usr" / "sbin" / "nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    publish = [sys.executable, str(there / "publisher.py"), f"http://127.0.0.1:{port}"]
    settings = {"PYTHONPATH": str(ROOT), **env}
    return [
        Part(name="nchan", command=nginx, folder=folder, settings={}, port=port),
        Part(
            name="publisher", command=publish, folder=folder, settings=settings, has_readyz=False, serves_clients=False
        ),
    ]


PARTS = {
    "ours": _ours,
    "ours, AUTH=jwt": _guarded,
    "ours, AUTH=jwt, no pings": _guarded_quiet,
    "ours, as delivered": _as_delivered,
    "node-seed": _node_seed,
    "node-redis": _node_redis,
    "python-socketio": _python_socketio,
    "nchan": _nchan,
}

OURS = Contestant("ours", {"websocket": "orders-websocket", "sse": "sse"})
GUARDED = Contestant("ours, AUTH=jwt", OURS.protocols)
GUARDED_QUIET = Contestant("ours, AUTH=jwt, no pings", OURS.protocols)
AS_DELIVERED = Contestant("ours, as delivered", OURS.protocols)
NODE_SEED = Contestant("node-seed", {"websocket": "socketio-websocket", "sse": "sse"})
NODE_REDIS = Contestant("node-redis", {"websocket": "socketio-websocket"})
PYTHON_SOCKETIO = Contestant("python-socketio", {"websocket": "socketio-websocket"})
NCHAN = Contestant("nchan", {"websocket": "/events"})


def is_installed(contestant: Contestant) -> bool:
    """Tell whether the contestant can run; only nchan, which needs Debian, may be missing."""
    needed = (PEERS / "nchan" / "root" / "usr" / "sbin" / "nginx", Path("/var/lib/nginx"))
    return contestant is not NCHAN or all(path.exists() for path in needed)
