"""A gateway under attack, fed by a stand-in for the watcher, and a bystander that has to notice nothing of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from redis.asyncio import Redis

from services.common.cursor import Position
from services.common.documents import Json
from services.common.envelope import Operation
from services.common.normalize import EpochReason
from services.watcher.publisher import Publisher
from tests.conftest import RunService
from tests.log_entries import KEYS, publish
from tests.samples import samples
from tests.service_process import ServiceProcess
from tests.stream_events import change
from tests.waiting import cancel_all, until

EPOCH = "e1"


@dataclass(eq=False)
class Fed:
    """The gateway, and the changes 1, 2, 3, … that were published to it."""

    gateway: ServiceProcess
    publisher: Publisher
    last: int = 0

    async def publish(self, count: int, *, size: int = 0, id: str = "a", at_once: int = 20) -> None:
        """Publish updates of one order, of so many bytes each and a little more."""
        end = self.last + count
        order: dict[str, Json] = {"status": "pending", "customer_name": "Ada", "padding": "x" * size}
        while self.last < end:
            upto = min(self.last + at_once, end)
            changes = [
                change(number, Operation.UPDATE, id=id, data=order, before={"status": "shipped"})
                for number in range(self.last + 1, upto + 1)
            ]
            await publish(self.publisher, EPOCH, Position(self.last, 0), changes)
            self.last = upto

    def cursor(self, number: int) -> str:
        return f"{EPOCH}.{number}-0"

    async def figure(self, name: str, label: str = "") -> float:
        """Return the sum of a metric, of all its samples or of those with a label of this value."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.gateway.admin_url}/metrics") as response:
            text = await response.text()
        return sum(
            one.value for one in samples(text) if one.name == name and (not label or label in one.labels.values())
        )

    def memory(self) -> int:
        """Return how many bytes of memory the gateway has."""
        return self._kilobytes("VmRSS:") << 10

    def most_memory(self) -> int:
        """Return the most that it has ever had."""
        return self._kilobytes("VmHWM:") << 10

    def _kilobytes(self, name: str) -> int:
        status = Path(f"/proc/{self.gateway.pid}/status").read_text("ascii")
        return int(status.split(name)[1].split()[0])


@asynccontextmanager
async def fed(
    run_service: RunService, mongodb_uri: str, redis_url: str, settings: dict[str, str] | None = None
) -> AsyncIterator[Fed]:
    """Start a gateway with these settings on a stream of nothing yet."""
    given = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "STALE_SECONDS": "3600", **(settings or {})}
    async with (
        Redis.from_url(redis_url) as redis,
        aclosing(Publisher(redis, KEYS, 1, 1_000_000)) as publisher,
    ):
        await publisher.restart_log(EPOCH, EpochReason.FIRST_START, Position(0, 0), "")
        yield Fed(await run_service("gateway", given), publisher)


@dataclass(eq=False)
class Bystander:
    """Follows the stream by SSE, and reads as fast as it can."""

    url: str
    seen: list[int] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        await until(lambda: self.others == ["connected"], "the bystander is connected")
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_all(self._task)

    async def _follow(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(timeout=timeout, read_bufsize=1 << 20) as session,
            session.get(f"{self.url}/api/orders/events") as response,
        ):
            name = ""
            async for line in response.content:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: ") and name == "orderUpdate":
                    position = json.loads(line[6:])["cursor"].split(".")[1]
                    self.seen.append(int(position.split("-")[0]))
                elif line.startswith(b"data: "):
                    self.others.append(name)

    async def has(self, numbers: Sequence[int]) -> None:
        """Wait until it has seen so many, and check that they are these, in order, and nothing else was told."""
        await until(lambda: len(self.seen) >= len(numbers), "the bystander has seen all", 60)
        assert self.seen == list(numbers)
        assert self.others == ["connected"]
