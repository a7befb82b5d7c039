"""Runs the whole stack on one machine until Ctrl-C: MongoDB, Redis, set-up, watcher and gateway."""

import asyncio
import time
from collections.abc import Callable

import aiohttp

from services.common.auth import DEVELOPMENT_ISSUER, RIGHTS_CLAIM, Auth
from services.embedded.databases import Databases, choose_port
from services.embedded.development_key import development_key
from services.embedded.errors import EmbeddedError
from services.embedded.ports import require_free
from services.embedded.program import Program
from services.embedded.settings import EmbeddedSettings
from services.embedded.supervisor import Supervisor
from services.embedded.terminal import Terminal

_LOOPBACK = "127.0.0.1"
# After this time without a response, report what the gateway is waiting for.
_SLOW_START_SECONDS = 20.0


async def run(settings: EmbeddedSettings, terminal: Terminal) -> None:
    """Start everything in order and keep it running until cancelled; raise EmbeddedError if something cannot start."""
    report = terminal.say_as("run")
    _require_ports(settings)
    databases = Databases(settings)
    with databases.claimed() as announce:
        await databases.require_ports()
        async with Supervisor(report) as supervisor:
            await databases.start(supervisor, report, announce)
            await _start_services(settings, databases, supervisor, terminal)
            report(f"MongoDB for mongosh and your programs: {_without_password(databases.mongodb_uri)}")
            report(f"To see it recover, kill something: {supervisor.kill_commands()}")
            report(_who_may_use_it(settings))
            report(f"Ready: {settings.url} (Ctrl-C stops everything; the data stays in {settings.data_dir})")
            await supervisor.watch()


async def _start_services(
    settings: EmbeddedSettings, databases: Databases, supervisor: Supervisor, terminal: Terminal
) -> None:
    env = {
        "MONGODB_URI": databases.mongodb_uri,
        "REDIS_URL": databases.redis_url,
        "MONGODB_URI_FILE": "",  # already resolved into the URIs above
        "REDIS_URL_FILE": "",
        "HOST": settings.host,
        "PORT": str(settings.port),
        "ADMIN_HOST": _LOOPBACK,
        "ADMIN_PORT": str(settings.admin_port),
        "WATCHER_HOST": _LOOPBACK,
        "WATCHER_PORT": str(settings.watcher_port),
        "DRAIN_DELAY_SECONDS": "0",  # there is no load balancer
        "DRAIN_SECONDS": str(settings.drain_seconds),
        "LOG_FORMAT": settings.log_format.value,
        **_tokens(settings, databases),
    }
    # Not into the user's own database: no one asked for samples there.
    samples = ["--samples"] if settings.mongodb_uri is None else []
    await _set_up(Program.module("setup-db", "services.commands.setup_db", env, terminal, *samples))
    await supervisor.keep(Program.module("watcher", "services.watcher", env, terminal))
    await supervisor.keep(Program.module("gateway", "services.gateway", env, terminal))
    await _until_ready(settings.admin_port, terminal.say_as("run"))


def _without_password(uri: str) -> str:
    before, at, after = uri.rpartition("@")
    return f"{before.partition('://')[0]}://…@{after}" if at else uri


def _tokens(settings: EmbeddedSettings, databases: Databases) -> dict[str, str]:
    """Make the key of `make token`, and return the settings with which a gateway accepts its tokens only."""
    if not settings.needs_key and not databases.embedded:
        return {}  # it needs no data folder
    key = development_key(settings.data_dir)
    if not settings.needs_key:
        return {}
    return {
        "JWT_SECRET": "",
        "JWT_SECRET_FILE": str(key.resolve()),
        "JWT_ISSUER": DEVELOPMENT_ISSUER,
        "JWT_AUDIENCE": "",
        "JWT_RIGHTS_CLAIM": RIGHTS_CLAIM,
    }


def _who_may_use_it(settings: EmbeddedSettings) -> str:
    if settings.needs_key:
        return (
            'Clients need a token (AUTH=jwt): `make token SUB=ada SCOPE="orders:read orders:write" '
            'CUSTOMER="Ada Lovelace"` prints one, which the page takes, too.'
        )
    if settings.auth is Auth.JWT:
        return "Clients need a token (AUTH=jwt) that your key verifies."
    if settings.is_local:
        return (
            f"There is no sign-in. Only programs on this machine reach the gateway (HOST={settings.host}), and each of "
            "them may read, change and delete every order."
        )
    return (
        f"There is no sign-in: anyone who can reach port {settings.port} of this machine (HOST={settings.host}) may "
        "read, change and delete every order. HOST=127.0.0.1 restricts it to this machine."
    )


def _require_ports(settings: EmbeddedSettings) -> None:
    """Check the ports before creating anything, so that a second `make run` does not touch the first."""
    require_free(settings.port, purpose="the gateway", advice=choose_port("PORT"))
    require_free(settings.admin_port, purpose="the gateway's operators", advice=choose_port("ADMIN_PORT"))
    require_free(settings.watcher_port, purpose="the watcher", advice=choose_port("WATCHER_PORT"))


async def _set_up(program: Program) -> None:
    try:
        await program.start()
        if await program.wait() != 0:
            raise EmbeddedError("The database could not be prepared; the reason is above.")
    finally:
        await program.stop()


async def _until_ready(port: int, report: Callable[[str], None]) -> None:
    """Return when the operators' /readyz returns 200; if that takes long, report its response once."""
    report_at = time.monotonic() + _SLOW_START_SECONDS
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
            if time.monotonic() > report_at:
                report(f"The gateway is not ready yet: {answer}")
                report_at = float("inf")
            await asyncio.sleep(0.2)  # nothing announces readiness, so poll
