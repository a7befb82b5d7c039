"""The inner half of a gateway on a real Redis, and a stand-in for the watcher that feeds it."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from redis.asyncio import Redis

from services.common.cursor import Cursor, Position
from services.common.dependency_health import DependencyHealth
from services.common.documents import Json
from services.common.fair_turns import FairTurns
from services.common.normalize import EpochReason
from services.common.tasks import Tasks
from services.embedded.valkey import Valkey
from services.gateway.catch_up import CatchUp, ServedFrom
from services.gateway.feed import Feed, FeedSettings
from services.gateway.filters import EVERYTHING
from services.gateway.history import History
from services.gateway.hub import Hub
from services.gateway.redis_log import open_redis_log
from services.gateway.replay import ReplayBounds
from services.gateway.ring import Ring
from services.gateway.subscription import Subscription
from services.mongodb.primary import Primary
from services.watcher.publisher import Publisher
from tests.log_entries import KEYS, new_publisher, publish
from tests.stream_events import Outlet, change
from tests.waiting import HANGS, until

RING = 50
APP_NAME = "fed-gateway"


class Asked(CommandListener):
    """Counts the commands that a gateway sends to MongoDB."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.times[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@dataclass(eq=False)
class Gateway:
    """The inner half of a gateway. Its oplog does not hold the imaginary changes of these tests."""

    server: Valkey
    mongodb_uri: str
    bounds: ReplayBounds = field(default_factory=ReplayBounds)
    stale_seconds: float = 60
    ring: Ring = field(default_factory=lambda: Ring(RING))
    resumed: Counter[ServedFrom] = field(default_factory=Counter)
    replayed: Counter[str] = field(default_factory=Counter)
    asked: Asked = field(default_factory=Asked)

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        client: AsyncMongoClient[dict[str, Json]] = AsyncMongoClient(
            self.mongodb_uri,
            appname=APP_NAME,
            event_listeners=[self.asked],
            serverSelectionTimeoutMS=1000,
            heartbeatFrequencyMS=500,
        )
        await self._stack.enter_async_context(client)
        redis_log = await self._stack.enter_async_context(open_redis_log(self.server.uri(), KEYS))
        turns = FairTurns()
        history = History(client.get_default_database(), "orders", Primary(), turns)
        tasks = await self._stack.enter_async_context(Tasks())
        self._catch_up = CatchUp(
            redis_log,
            history,
            self.ring,
            DependencyHealth("redis"),
            lambda where: self.resumed.update([where]),
            tasks.spawn,
            turns=turns,
            bounds=self.bounds,
            replayed=lambda outcome: self.replayed.update([str(outcome)]),
        )
        self._catch_up.start(tasks)
        settings = FeedSettings(RING, self.stale_seconds)
        feed = Feed(redis_log, history, self.ring, self.hub, DependencyHealth("redis"), settings)
        feed.start(tasks)
        async with asyncio.timeout(HANGS):
            await feed.ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def hub(self) -> Hub:
        return self._catch_up.hub

    async def join(self, outlet: Outlet, since: Cursor | None = None, account: str = "") -> Subscription:
        """Connect a client as the transports do."""
        located = await self._catch_up.locate(since, account) if since else None
        if located is not None and located.reason is not None:
            outlet.resync(located.reason, self.ring.cursor or Cursor("", located.position))
        place = located.position if located else self.ring.position
        subscription = self.hub.subscribe(outlet, EVERYTHING, place, account)
        outlet.full = lambda: self.hub.pause(subscription)
        self.hub.resume(subscription)
        return subscription

    async def reached(self, number: int) -> None:
        await until(lambda: self.ring.position == Position(number, 0), f"the gateway is at {number}")


@dataclass
class Writing:
    """Stands in for the watcher: publishes changes 1, 2, 3, …."""

    publisher: Publisher
    epoch: str = "e1"
    last: int = 0

    async def begin(self, epoch: str = "e1", reason: EpochReason = EpochReason.FIRST_START) -> None:
        self.epoch = epoch
        await self.publisher.restart_log(epoch, reason, Position(self.last, 0), "")

    async def upto(self, number: int, *, at_once: int = 100) -> None:
        while self.last < number:
            end = min(self.last + at_once, number)
            changes = [change(each, epoch=self.epoch) for each in range(self.last + 1, end + 1)]
            await publish(self.publisher, self.epoch, Position(self.last, 0), changes)
            self.last = end


@dataclass
class World:
    server: Valkey
    redis: Redis
    mongodb_uri: str

    def writing(self, maxlen: int = 100_000, term: int = 1) -> Writing:
        return Writing(new_publisher(self.redis, term, maxlen))

    def gateway(self, **options: Any) -> Gateway:
        return Gateway(self.server, self.mongodb_uri, **options)

    async def log_silently(self, head: str = KEYS.head) -> None:
        """Let change 1, the first, be in the log, as its ``head`` says, without the message that tells of it."""
        await self.redis.xadd(KEYS.log, {"e": change(1).envelope, "b": "{}", "p": "0-0"}, id="1-0")
        await self.redis.hset(head, "position", "1-0")
