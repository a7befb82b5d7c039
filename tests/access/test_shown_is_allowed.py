"""Random subjects, rights, writes and breaks: what each is shown is what its rights allowed at each commit.

Nothing more and nothing less, in order, over whatever transport and replica; and every write is allowed or refused as
the rights say of the order before it and after it.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import pytest
from bson import Timestamp
from redis.asyncio import Redis

from services.common.cursor import Cursor, cluster_time
from tests.access.conftest import Guarded
from tests.access.tokens import bearer, token
from tests.access.viewers import TRANSPORTS, Viewer, viewer
from tests.running_product import Orders
from tests.waiting import until

NAMES: list[Any] = ["Ada", "Bob", "ada", "Ada ", "5"]
STATUSES = ["pending", "shipped", "delivered"]
ODD: list[Any] = [5, ["Ada"], None, {"Ada": 1}, "x" * 201]
IDS = [f"order {n}" for n in range(8)]
MARKER = "the marker"
WRITES = 250


def row(chance: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, usual in (("customer_name", NAMES), ("status", STATUSES)):
        if chance.random() < 0.95:
            found[name] = chance.choice(usual if chance.random() < 0.85 else ODD)
    return found


def claim(chance: random.Random) -> Any:
    """Return rights as a token says them: any of one or two filters, and the marker."""
    filters: list[dict[str, Any]] = [{"ids": [MARKER]}]
    for _ in range(chance.randint(0, 2)):
        some: dict[str, Any] = {}
        if chance.random() < 0.6:
            some["customer_name"] = chance.sample(NAMES, chance.randint(1, 2))
        if chance.random() < 0.5:
            some["status"] = chance.sample(STATUSES, chance.randint(1, 2))
        if chance.random() < 0.2 or not some:
            some["ids"] = chance.sample(IDS, 3)
        filters.append(some)
    return filters


def inside(rights: Any, document: dict[str, Any] | None) -> bool:
    """Judge by plain comparison, apart from the product."""
    if document is None:
        return False

    def fits(wanted: dict[str, Any]) -> bool:
        return all(
            type(value := document.get("_id" if name == "ids" else name)) is str and value in values
            for name, values in wanted.items()
        )

    return rights == "*" or any(fits(each) for each in rights)


def as_shown(rights: Any, before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[str, Any] | None:
    was, now = inside(rights, before), inside(rights, after)
    if now:
        return ("INSERT" if before is None else "UPDATE"), after
    if not was or before is None:
        return None
    return ("DELETE", before) if after is None else ("LEFT", {"_id": before["_id"]})


@dataclass
class Subject:
    """One that looks on, leaves, comes back elsewhere, and keeps what it is shown."""

    name: str
    rights: Any
    shown: list[tuple[str, Any]] = field(default_factory=list)
    view: dict[str, Any] = field(default_factory=dict)
    cursor: str = ""
    connections: int = 0

    @property
    def token(self) -> str:
        return token(self.name, rights=self.rights)

    async def load(self, url: str) -> None:
        orders, self.cursor = await listed(url, self.token)
        self.view = {order["_id"]: order for order in orders}

    async def follow(self, urls: list[str], chance: random.Random) -> None:
        """Follow the stream in stretches, each over another transport at another replica, until the marker."""
        while not self.is_done:
            self.connections += 1
            since = self.cursor
            async with viewer(chance.choice(urls), chance.choice(TRANSPORTS), self.token, since=since) as client:
                wanted = len(self.shown) + chance.randint(1, 8)
                taken = 0
                while len(self.shown) < wanted and not self.is_done:
                    taken = self.take(client, taken)
                    await asyncio.sleep(0.01)
                # What has come while it left counts as shown, too.
            self.take(client, taken)

    def take(self, client: Viewer, taken: int) -> int:
        for name, payload in client.told[taken:]:
            assert name in {"connected", "orderUpdate", "mark", "status"}, (self.name, name, payload)
            self.cursor = payload["cursor"]
            if name == "orderUpdate":
                operation = "LEFT" if payload.get("left") else payload["operation"]
                order = payload["data"] or {"_id": payload["id"]}
                self.shown.append((operation, plain(order)))
                if operation in {"INSERT", "UPDATE"}:
                    self.view[payload["id"]] = order
                else:
                    self.view.pop(payload["id"], None)
        return len(client.told)

    @property
    def is_done(self) -> bool:
        return bool(self.shown) and self.shown[-1][1]["_id"] == MARKER


@dataclass
class Changing(Subject):
    """One whose rights are others each time that it comes back; told to reload, it does, as clients do."""

    reloads: int = 0

    async def follow(self, urls: list[str], chance: random.Random) -> None:
        while not self.is_done:
            url, taken = chance.choice(urls), 0
            async with viewer(url, chance.choice(TRANSPORTS), self.token, since=self.cursor) as client:
                for _ in range(chance.randint(5, 40)):
                    taken = self.take(client, taken)
                    await asyncio.sleep(0.01)
            self.take(client, taken)
            if "resync" in client.names:
                assert client.named("resync")[0]["reason"] == "rights_changed"
                await self.load(url)
                self.reloads += 1
            elif not self.is_done:
                self.rights = claim(chance)

    def take(self, client: Viewer, taken: int) -> int:
        return len(client.told) if "resync" in client.names else super().take(client, taken)

    @property
    def is_done(self) -> bool:
        return MARKER in self.view


def plain(order: dict[str, Any]) -> dict[str, Any]:
    return {name: order[name] for name in ("_id", "customer_name", "status") if name in order}


async def listed(url: str, text: str) -> tuple[list[dict[str, Any]], str]:
    async with aiohttp.ClientSession(headers=bearer(text)) as session, session.get(f"{url}/api/orders?limit=500") as it:
        assert it.status == 200
        return await it.json(), it.headers["Stream-Cursor"]


class Commit(NamedTuple):
    """An order before and after one commit."""

    at: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


async def history_of(orders: Orders, start: Timestamp) -> list[Commit]:
    """Return what MongoDB's own change stream says of the commits after a time, up to that of the marker."""
    found = []
    options = {"full_document": "required", "full_document_before_change": "required"}
    after = Timestamp(start.time, start.inc + 1)
    async with await orders.watch(start_at_operation_time=after, **options) as stream:  # type: ignore[arg-type]
        async for event in stream:
            images = event.get("fullDocumentBeforeChange"), event.get("fullDocument")
            found.append(Commit(cluster_time(event["clusterTime"]), *images))
            if (found[-1].after or {}).get("_id") == MARKER:
                break
    return found


async def write(orders: Orders, chance: random.Random) -> None:
    """Write as any other program does."""
    key = {"_id": chance.choice(IDS)}
    match chance.randrange(4):
        case 0:
            await orders.delete_one(key)
        case 1:
            await orders.replace_one(key, row(chance), upsert=True)
        case _:
            await orders.update_one(key, {"$set": row(chance) or {"other": 1}}, upsert=True)


async def ask(url: str, orders: Orders, subject: Subject, chance: random.Random) -> None:
    """Write as a subject, and check that it may exactly if its rights allow the order before and after."""
    order = chance.choice(IDS)
    before = await orders.find_one({"_id": order})
    may = inside(subject.rights, before)
    method, body, expected = "DELETE", None, 200 if may else 404
    if chance.random() < 0.7:
        method = "PUT"
        body = {"customer_name": chance.choice(["Ada", "Bob", "ada", "5"]), "status": chance.choice(STATUSES)}
        body = {name: value for name, value in body.items() if chance.random() < 0.6} or {"status": "shipped"}
        stays = inside(subject.rights, {**(before or {}), **body})
        expected = 404 if not may else 200 if stays else 403
    async with (
        aiohttp.ClientSession(headers=bearer(subject.token)) as session,
        session.request(method, f"{url}/api/orders/{order.replace(' ', '%20')}", json=body) as answer,
    ):
        assert answer.status == expected, (subject.rights, before, method, body)
    after = await orders.find_one({"_id": order})
    if expected != 200:
        assert after == before


@pytest.mark.parametrize("number", range(3))
async def test_every_subject_is_shown_what_its_rights_allow(guarded: Guarded, number: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed, number)  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    now = await guarded.orders.database.command("ping")
    await guarded.watcher(LOG_MAX_EVENTS="100")
    small = {"RING_EVENTS": "10"}
    urls = [(await guarded.gateway(**small)).url for _ in range(2)]
    for _ in range(20):
        await write(guarded.orders, chance)
    subjects = [Subject(f"subject {n}", claim(chance) if n else "*") for n in range(8)]
    changing = [Changing(f"changing {n}", claim(chance)) for n in range(3)]
    for each in (*subjects, *changing):
        await each.load(chance.choice(urls))
    starts = {each.name: each.cursor for each in subjects}
    async with AsyncExitStack() as stack, Redis.from_url(guarded.redis_url) as redis:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        following = [
            group.create_task(each.follow(urls, random.Random(chance.random()))) for each in (*subjects, *changing)
        ]
        for done in range(WRITES):
            if chance.random() < 0.3:
                await ask(chance.choice(urls), guarded.orders, chance.choice(subjects), chance)
            else:
                await write(guarded.orders, chance)
            if done == WRITES // 2:
                await redis.flushdb()
        await guarded.orders.insert_one({"_id": MARKER})
        await until(lambda: all(task.done() for task in following), "everyone has seen the marker", 60)
    history = await history_of(guarded.orders, now["operationTime"])
    for each in subjects:
        # The list had what was committed up to its cursor; the stream continues exactly there.
        since = Cursor.parse(starts[each.name]).position.ts
        later = [commit for commit in history if commit.at > since]
        told = [as_shown(each.rights, commit.before, commit.after) for commit in later]
        assert each.shown == [(one[0], plain(one[1])) for one in told if one is not None], each.rights
    for each in (*subjects, *changing):
        allowed = [order for order in await guarded.orders.find().to_list() if inside(each.rights, order)]
        assert {key: plain(order) for key, order in each.view.items()} == {
            order["_id"]: plain(order) for order in allowed
        }
        orders, _ = await listed(chance.choice(urls), each.token)
        assert {order["_id"] for order in orders} == {order["_id"] for order in allowed}
    assert len(subjects[0].shown) > WRITES // 2
    assert all(each.reloads for each in changing)
    assert sum(each.connections for each in subjects) > 4 * len(subjects)
