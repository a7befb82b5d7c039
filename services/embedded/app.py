"""The whole stack on one machine: MongoDB, Redis, set-up, watcher and gateway, from the start to Ctrl-C."""

import asyncio
import time
from collections.abc import Callable

import aiohttp

from services.embedded.errors import EmbeddedError
from services.embedded.folders import private_folder
from services.embedded.mongod import Mongod
from services.embedded.ports import require_free
from services.embedded.program import Program
from services.embedded.settings import EmbeddedSettings
from services.embedded.supervisor import Supervisor
from services.embedded.terminal import Terminal
from services.embedded.valkey import Valkey

DATABASE = "realtime_orders"
_LOOPBACK = "127.0.0.1"
# After so long without an answer a person wants to know what the gateway waits for.
_IMPATIENT_AFTER = 20.0


async def run(settings: EmbeddedSettings, terminal: Terminal) -> None:
    """Start everything in order and keep it running until cancelled; raise EmbeddedError if something cannot start."""
    report = terminal.say_as("run")
    _require_ports(settings)
    if settings.mongodb_uri is None or settings.redis_url is None:
        private_folder(settings.data_dir, known=frozenset({"mongodb", "valkey"}))
    async with Supervisor(report) as supervisor:
        env = {
            "MONGODB_URI": await _mongodb(settings, supervisor, report),
            "REDIS_URL": await _redis(settings, supervisor, report),
            "MONGODB_URI_FILE": "",  # what they name is read, and stands above
            "REDIS_URL_FILE": "",
            "HOST": settings.host,
            "PORT": str(settings.port),
            "ADMIN_HOST": _LOOPBACK,
            "ADMIN_PORT": str(settings.admin_port),
            "WATCHER_HOST": _LOOPBACK,
            "WATCHER_PORT": str(settings.watcher_port),
            "LOG_FORMAT": settings.log_format.value,
        }
        # Not into a database of one's own: nobody has asked for samples there.
        samples = ["--samples"] if settings.mongodb_uri is None else []
        await _set_up(Program.module("setup-db", "services.commands.setup_db", env, terminal, *samples))
        await supervisor.keep(Program.module("watcher", "services.watcher", env, terminal))
        await supervisor.keep(Program.module("gateway", "services.gateway", env, terminal))
        await _until_ready(settings.admin_port, report)
        report(_no_sign_in(settings))
        report(f"Ready: {settings.url} (Ctrl-C stops everything; the data stays in {settings.data_dir})")
        await supervisor.watch()


def _no_sign_in(settings: EmbeddedSettings) -> str:
    if settings.is_local:
        return (
            f"There is no sign-in. Only programs on this machine reach the gateway (HOST={settings.host}), and each of "
            "them may read, change and delete every order."
        )
    return (
        f"There is no sign-in: anybody who reaches port {settings.port} of this machine (HOST={settings.host}) may "
        "read, change and delete every order. HOST=127.0.0.1 keeps it to this machine."
    )


def _require_ports(settings: EmbeddedSettings) -> None:
    """Check them all before anything is started, so that a second `make run` touches nothing of the first."""
    require_free(settings.port, purpose="the gateway", advice=_choose("PORT"))
    require_free(settings.admin_port, purpose="the gateway's operators", advice=_choose("ADMIN_PORT"))
    require_free(settings.watcher_port, purpose="the watcher", advice=_choose("WATCHER_PORT"))
    if settings.mongodb_uri is None:
        require_free(settings.embedded_mongodb_port, purpose="MongoDB", advice=_choose("EMBEDDED_MONGODB_PORT"))
    if settings.redis_url is None:
        require_free(settings.embedded_redis_port, purpose="Redis", advice=_choose("EMBEDDED_REDIS_PORT"))


def _choose(variable: str) -> str:
    return f"choose another port with {variable} (is another `make run` still running?)"


async def _mongodb(settings: EmbeddedSettings, supervisor: Supervisor, report: Callable[[str], None]) -> str:
    if settings.mongodb_uri is not None:
        report("Using the MongoDB at MONGODB_URI")
        return settings.mongodb_uri
    server = Mongod(
        folder=settings.data_dir / "mongodb",
        port=settings.embedded_mongodb_port,
        port_advice=_choose("EMBEDDED_MONGODB_PORT"),
    )
    report(f"Starting MongoDB on port {server.port} (log: {server.log})")
    await supervisor.keep(server)
    return server.uri(DATABASE)


async def _redis(settings: EmbeddedSettings, supervisor: Supervisor, report: Callable[[str], None]) -> str:
    if settings.redis_url is not None:
        report("Using the Redis at REDIS_URL")
        return settings.redis_url
    server = Valkey(
        folder=settings.data_dir / "valkey",
        port=settings.embedded_redis_port,
        durable=True,
        port_advice=_choose("EMBEDDED_REDIS_PORT"),
    )
    report(f"Starting Valkey on port {server.port} (log: {server.log})")
    await supervisor.keep(server)
    return server.uri()


async def _set_up(program: Program) -> None:
    try:
        await program.start()
        if await program.wait() != 0:
            raise EmbeddedError("The database could not be prepared; the reason is above.")
    finally:
        await program.stop()


async def _until_ready(port: int, report: Callable[[str], None]) -> None:
    """Return when the operators' /readyz answers 200; say once what it says instead when that takes long."""
    impatient_at = time.monotonic() + _IMPATIENT_AFTER
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while True:
            answer = "no answer"
            try:
                async with session.get(f"http://{_LOOPBACK}:{port}/readyz") as response:
                    if response.status == 200:
                        return
                    answer = (await response.text())[:500]
            except (aiohttp.ClientError, TimeoutError):
                pass
            if time.monotonic() > impatient_at:
                report(f"The gateway is not ready yet: {answer}")
                impatient_at = float("inf")
            await asyncio.sleep(0.2)  # nothing announces readiness; it has to be asked for
