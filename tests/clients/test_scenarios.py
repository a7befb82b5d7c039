"""Each library shows exactly the orders of the database: at every position that it shows, whatever breaks meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bson import json_util
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.commands.setup_db import setup
from tests.clients.database import Database, Orders, watched
from tests.clients.subject import LIBRARIES, Subject, Subjects
from tests.conftest import RunService
from tests.e2e.switch import Switch, switch
from tests.service_process import ServiceProcess
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAIVE_DATES = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=False)
SCENARIOS: list[dict[str, Any]] = json_util.loads(
    Path(__file__).with_name("scenarios.json").read_text(encoding="utf-8"), json_options=NAIVE_DATES
)
# Heartbeats, which would settle writes too, come too late to help.
SETTINGS = {"LOG_FORMAT": "console", "DRAIN_SECONDS": "0.2", "LEASE_SECONDS": "1", "SSE_HEARTBEAT_SECONDS": "60"}


class Scene:
    """The product, a link to it that can break, and the libraries behind the link; where they write, it is one."""

    def __init__(self, run: RunService, environment: dict[str, str], orders: Orders, redis: Redis) -> None:
        self._run = run
        self._environment = environment
        self.orders = orders
        self._redis = redis
        self.gateways: list[ServiceProcess] = []
        self.watcher: ServiceProcess
        self.link: Switch
        self.libraries: list[Subject] = []
        self.database: Database
        self.is_reachable = True

    async def start(self, stack: AsyncExitStack) -> None:
        self.watcher = await self._run("watcher", self._environment)
        self.gateways = [await self._run("gateway", self._environment) for _ in range(2)]
        self.link = await stack.enter_async_context(switch(self.gateways[0].port))

    async def settled(self) -> None:
        """Wait until the library shows what the database is, and says so."""

        def is_settled(library: Subject) -> bool:
            shown = library.shown
            rows = self.database.rows
            is_exact = shown["rows"] == rows and (self.database.window is None or shown["ids"] == [*rows])
            return shown["phase"] == "live" and not shown["pending"] and is_exact

        await self.database.caught_up()
        for library in self.libraries:
            try:
                await until(partial(is_settled, library), "the copy is the database")
            except AssertionError as error:
                message = f"{library.over}: {library.shown}\nis not\n{self.database.rows}"
                raise AssertionError(message) from error

    async def change(self, step: dict[str, Any], session: Any = None) -> None:
        """Change the database as another program would."""
        match step:
            case {"insert": documents}:
                await self.orders.insert_many([dict(each) for each in documents], session=session)
            case {"insert_many": {"count": count, "padding": padding}}:
                await self.orders.insert_many([{"_id": f"n{i}", "text": "x" * padding} for i in range(count)])
            case {"update": {"_id": name, "set": fields}}:
                await self.orders.update_one({"_id": name}, {"$set": fields}, session=session)
            case {"replace": {"_id": name, "with": document}}:
                await self.orders.replace_one({"_id": name}, dict(document), session=session)
            case {"delete": names}:
                await self.orders.delete_many({"_id": {"$in": names}}, session=session)
            case {"transaction": steps}:
                async with self.orders.database.client.start_session() as own, await own.start_transaction():
                    for each in steps:
                        await self.change(each, own)
            case _:
                raise ValueError(step)

    async def act(self, step: dict[str, Any]) -> None:
        """Do one step of a scenario."""
        match step:
            case {"cut": True} | {"hop": True} | {"down": True} | {"up": True}:
                self.disturb(*step)
            case {"kill": True}:
                self.is_reachable = False
                await self.gateways[0].kill()
            case {"restart": True}:
                await self.gateways[0].start()
                self.is_reachable = True
            case {"unheard": change}:
                self.link.is_mute = True
                await self.change(change)
                await until(lambda: len(self.link.dropped) >= len(self.libraries), "all were told, and heard nothing")
                self.link.cut()
                self.link.is_mute = False
            case {"break_off_before": word}:
                await self.break_off_before(word.encode())
            case {"lose_history": True}:
                await self.lose_history()
            case {"use": transport}:
                for library in self.libraries:
                    library.ask(do="use", transport=transport)
            case {"write": asked}:
                await self.write(asked, step)
            case _:
                await self.change(step)

    def disturb(self, how: str) -> None:
        """Do something to the link."""
        match how:
            case "hop":
                (self.link.port,) = {each.port for each in self.gateways} - {self.link.port}
            case "down":
                self.is_reachable = False
                self._was, self.link.port = self.link.port, 1
            case "up":
                self.is_reachable = True
                self.link.port = self._was
        self.link.cut()

    async def break_off_before(self, word: bytes) -> None:
        """Connect the libraries again, and cut each of these connections where the gateway is about to say this."""
        self.link.last_word = word
        self.disturb("up")

        def has_each() -> bool:
            return all(any(map(library.has_asked, self.link.broken_off)) for library in self.libraries)

        await until(has_each, f"{word!r} was held back from each", 60)
        self.link.last_word = None
        self.link.broken_off.clear()

    async def lose_history(self) -> None:
        """Begin a new epoch: the state of the watcher is lost, and so every cursor."""
        await self.watcher.stop()
        await self.orders.database["stream_state"].drop()
        await self._redis.flushdb()
        await self.watcher.start()

    async def write(self, asked: dict[str, Any], step: dict[str, Any]) -> None:
        shown_before = self.libraries[0].shown["rows"]
        if step.get("lose_answer"):
            done = await self._write_without_answer(asked)
        else:
            done = await self.libraries[0].write(asked)
        if "refused" in step:
            assert done["refused"] == step["refused"]
            assert self.libraries[0].shown["rows"] == shown_before
        else:
            assert "order" in done

    async def _write_without_answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        before = self.database.commits
        self.link.is_mute = True
        writing = asyncio.create_task(self.libraries[0].write(asked))
        await until(lambda: self.database.commits > before, f"{asked} is done")
        self.link.cut()
        self.link.is_mute = False
        return await writing


@asynccontextmanager
async def scene(mongodb_uri: str, redis_url: str, run: RunService) -> AsyncIterator[Scene]:
    await asyncio.to_thread(lambda: list(setup(mongodb_uri)))
    environment = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, **SETTINGS}
    async with (
        AsyncMongoClient[dict[str, Any]](mongodb_uri) as client,
        Redis.from_url(redis_url) as redis,
        AsyncExitStack() as stack,
    ):
        made = Scene(run, environment, client.get_default_database()["orders"], redis)
        await made.start(stack)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def subjects() -> AsyncIterator[Subjects]:
    async with AsyncExitStack() as stack:
        yield Subjects(stack)


def has_writes(scenario: dict[str, Any]) -> bool:
    return any("write" in step for step in scenario["steps"])


async def play(made: Scene, scenario: dict[str, Any], libraries: Iterable[Subject]) -> None:
    opened = scenario["open"]
    async with AsyncExitStack() as stack:
        made.libraries = [*libraries]
        if scenario["before"]:
            await made.change(scenario["before"])
        if scenario.get("slow"):
            made.link.rate = 2_000_000
        if "below" in scenario:
            opened = {**opened, "window": await _window_below(made, scenario["below"], opened)}
        following = watched(made.orders, opened.get("filter", {}), opened.get("window"))
        made.database = await stack.enter_async_context(following)
        for library in made.libraries:
            library.open(made.link.url, **opened)
        await made.settled()
        for step in scenario["steps"]:
            await made.act(step)
            if made.is_reachable:
                await made.settled()
        for library in made.libraries:
            compare(library, made.database, has_one_epoch="resyncs" not in scenario)


async def _window_below(made: Scene, count: int, opened: dict[str, Any]) -> dict[str, Any]:
    """Return the window for the place below so many orders, as each library finds it."""
    window: dict[str, Any] = opened["window"]
    places = [await each.place_below(made.link.url, count, **opened) for each in made.libraries]
    assert all(place == places[0] for place in places)
    return {**window, "after": places[0]}


@pytest.mark.parametrize(
    "scenario", [each for each in SCENARIOS if not has_writes(each)], ids=lambda each: each["name"]
)
async def test_each_copy_is_the_database(
    mongodb_uri: str, redis_url: str, run_service: RunService, subjects: Subjects, scenario: dict[str, Any]
) -> None:
    async with scene(mongodb_uri, redis_url, run_service) as made:
        await play(made, scenario, [await subjects.get(library) for library in LIBRARIES])


@pytest.mark.parametrize("library", ["python", "js"])
@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if has_writes(each)], ids=lambda each: each["name"])
async def test_writes(
    mongodb_uri: str,
    redis_url: str,
    run_service: RunService,
    subjects: Subjects,
    library: str,
    scenario: dict[str, Any],
) -> None:
    async with scene(mongodb_uri, redis_url, run_service) as made:
        await play(made, scenario, [await subjects.get(library)])


def compare(library: Subject, database: Database, *, has_one_epoch: bool) -> None:
    """Compare every view that the library called live with the database at its cursor; own writes may be ahead."""
    cursors = [view["cursor"] for view in library.views if view["phase"] == "live"]
    assert cursors
    for view in library.views:
        if view["phase"] == "live" and not view["pending"]:
            rows = database.at(view["cursor"])
            assert view["rows"] == rows, view["cursor"]
            assert database.window is None or view["ids"] == [*rows], view["cursor"]
    if has_one_epoch:
        assert cursors == sorted(cursors, key=place)


def place(cursor: str) -> tuple[int, int]:
    time, _, ordinal = cursor.rpartition(".")[2].partition("-")
    return int(time), int(ordinal)
