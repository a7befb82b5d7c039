"""The product under attack, as processes: with a history that Redis has forgotten, and what can be seen of it."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient

from services.commands.setup_db import setup
from services.embedded.ports import free_port
from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target
from tests.abuse.attacking import attack
from tests.abuse.bystander import Orders
from tests.samples import samples
from tests.service_process import ServiceProcess
from tests.waiting import until

HISTORY = 12_000  # orders, of which Redis keeps the last tenth
_EVENTS = "orders_gateway_events_total"
_NOTE = "x" * 1_000
# Short, so that those who have left without a word are soon forgotten.
_GATEWAY = {
    "PING_INTERVAL_SECONDS": "1",
    "PING_TIMEOUT_SECONDS": "2",
    "CONNECT_TIMEOUT_SECONDS": "2",
    "CLIENT_STALL_SECONDS": "5",
    "RING_EVENTS": "1000",
    "RING_BYTES": str(4 << 20),
    "DRAIN_SECONDS": "0.2",
    "LOG_FORMAT": "console",
}
_WATCHER = {"LOG_MAX_EVENTS": str(HISTORY // 10), "LEASE_SECONDS": "1", "LOG_FORMAT": "console"}

Figures = Mapping[str, float]


class LowLimit(ServiceProcess):
    """A service that is started where a process may open 1,024 files, unless it asks for more."""

    def argv(self) -> list[str]:
        return ["sh", "-c", 'ulimit -S -n 1024 && exec "$@"', "sh", *super().argv()]


@dataclass(eq=False)
class Product:
    """Both services and the collection behind them."""

    orders: Orders
    watcher: ServiceProcess
    gateway: ServiceProcess
    since: str = ""

    @property
    def services(self) -> list[ServiceProcess]:
        return [self.watcher, self.gateway]

    async def figures(self) -> Figures:
        """Return the gateway's metrics, by name and labels."""
        return await figures(self.gateway.admin_url)

    async def attack(self, attacker: Attacker, seconds: float, seed: int = 0) -> Tally:
        """Let the attacker do its worst for so long; return what became of it."""
        return await attack(attacker, replace(self.target, seed=seed), seconds)

    @property
    def target(self) -> Target:
        return Target(self.gateway.port, self.watcher.port, self.since)

    async def restart(self) -> None:
        """Start what has died, and the gateway in any case; fill its memory, as it is after a while of work."""
        for service in self.services:
            await service.kill()
            await service.start()
        await self._warm_up()

    async def make_history(self) -> None:
        """Write more than Redis keeps, and remember the cursor of before."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.gateway.url}/api/orders?limit=1") as response,
        ):
            self.since = response.headers["Stream-Cursor"]
        for _ in range(HISTORY // 2000):
            await self._write(2_000)
        await self._warm_up()

    async def _warm_up(self) -> None:
        """Fill the ring, and do once what needs memory when it is done for the first time."""
        await self._write(1_100)
        address = f"{self.gateway.url}/api/orders"
        async with aiohttp.ClientSession() as session:
            for query, accept in (("?limit=500", "application/json"), ("", "text/csv")):
                async with session.get(address + query, headers={"Accept": accept}) as response:
                    await response.read()
            async with session.get(address, headers={"Accept": "text/event-stream"}) as response:
                read = b""
                while b"event: live" not in read:
                    read = read[-20:] + await response.content.readany()

    async def _write(self, count: int) -> None:
        """Write so many orders, and wait until the gateway has them."""
        before = (await self.figures())[_EVENTS]
        order = {"customer_name": "history", "product_name": _NOTE[:200], "status": "pending", "note": _NOTE}
        await self.orders.insert_many([{**order} for _ in range(count)])

        async def told() -> bool:
            return (await self.figures())[_EVENTS] >= before + count

        await until(told, f"{count} orders are told")


async def figures(url: str) -> Figures:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/metrics") as response:
        text = await response.text()
    return {
        one.name + "".join(f" {value}" for _, value in sorted(one.labels.items())): one.value for one in samples(text)
    }


@asynccontextmanager
async def product(mongodb_uri: str, redis_url: str, folder: Path) -> AsyncIterator[Product]:
    """Run it meanwhile."""
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    shared = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    watching, serving = free_port(), free_port()
    settings = {**shared, **_WATCHER, "WATCHER_PORT": str(watching)}
    watcher = LowLimit(service="watcher", port=watching, folder=folder, settings=settings)
    gateway = LowLimit(
        service="gateway", port=serving, folder=folder, settings={**shared, **_GATEWAY, "PORT": str(serving)}
    )
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client, watcher, gateway:
        running = Product(client.get_default_database()["orders"], watcher, gateway)
        await running.make_history()
        yield running


_TURNS = "orders_gateway_loop_work_seconds_bucket "


def longest_turn(before: Figures, after: Figures) -> float:
    """Return how long the event loop was held at most meanwhile, by its own CPU time, whatever else the machine does.

    In seconds, and as exact as the metric's buckets: the upper end of the highest one in which something is new.
    """
    names = sorted((name for name in after if name.startswith(_TURNS)), key=lambda name: float(name.split(" ")[1]))
    new = [after[name] - before[name] for name in names]
    return next(float(name.split(" ")[1]) for name, count in zip(names, new, strict=True) if count == new[-1])


def resident(pid: int, field: str = "VmRSS") -> float:
    """Return the memory of a process in MiB: now, or with VmHWM the most since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


_MOST_LINES = 40


def complaints_of_log(text: str) -> list[str]:
    """Say what of an attack a log should not have kept."""
    found = []
    lines = text.splitlines()
    if len(lines) > _MOST_LINES:
        found.append(f"the log has grown by {len(lines)} lines")
    if "Traceback" in text:
        errors = Counter(re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception)\b.{0,60})", text, re.MULTILINE))
        found.append(f"the log has {text.count('Traceback')} tracebacks: {dict(errors.most_common(3))}")
    if "╭" in text:
        found.append("the log has local variables in it")
    if MARK in text:
        found.append("the log has in it what the attacker sent")
    return found
