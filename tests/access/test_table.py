"""The table of what each subject is shown: rules × transports × sources × kinds of changes, each cell a test.

All orders go through the same changes once. Then each cell compares what its client was shown of the changes of one
kind with what the rule says, by a judgement of its own: nothing more, nothing less, in order.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from tests.access.conftest import Guarded, guarded_on
from tests.access.tokens import bearer, token
from tests.access.viewers import TRANSPORTS, Viewer, here, viewer
from tests.servers import Servers
from tests.service_process import ServiceProcess
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

Row = dict[str, Any]
STATES: list[Row] = [
    {"customer_name": "Ada", "status": "pending"},
    {"customer_name": "Ada", "status": "delivered"},
    {"customer_name": "Bob", "status": "pending"},
    {"customer_name": "Eve", "status": "shipped"},
    {"customer_name": ["Ada"], "status": 5},  # equals neither, whatever MongoDB says
]
OVERSIZED = "x" * 300_000
SNAPSHOT = "snapshot + live"
SOURCES = ("live", "ring", "log", "oplog", SNAPSHOT)


class Rule(NamedTuple):
    """A claim, and the same said once more in Python."""

    claim: Any
    allows: Callable[[str, Row], bool]


RULES = {
    "customer": Rule({"customer_name": "Ada"}, lambda _, row: row["customer_name"] == "Ada"),
    "status": Rule({"status": ["pending", "shipped"]}, lambda _, row: row["status"] in ("pending", "shipped")),
    "both": Rule(
        {"customer_name": ["Ada", "Bob"], "status": "pending"},
        lambda _, row: row["customer_name"] in ("Ada", "Bob") and row["status"] == "pending",
    ),
    "either": Rule(
        [{"customer_name": "Bob"}, {"status": "delivered"}],
        lambda _, row: row["customer_name"] == "Bob" or row["status"] == "delivered",
    ),
    "ids": Rule({"ids": ["small-0-1", "large-0-3"]}, lambda order, _: order in ("small-0-1", "large-0-3")),
    "everything": Rule("*", lambda _, row: "status" in row),
    "nothing": Rule([], lambda *_: False),
}
KINDS = ("inside", "outside", "enters", "leaves", "deleted", "deleted outside")


class Change(NamedTuple):
    """One change of the script."""

    id: str
    before: Row | None
    after: Row | None

    def kind(self, rule: Rule) -> str:
        """Return what the change is to a subject with this rule; an oversized one is marked."""
        was = self.before is not None and rule.allows(self.id, self.before)
        now = self.after is not None and rule.allows(self.id, self.after)
        if self.after is None:
            name = "deleted" if was else "deleted outside"
        elif self.before is None:
            name = "inside" if now else "outside"
        else:
            name = {(True, True): "inside", (False, True): "enters", (True, False): "leaves"}.get((was, now), "outside")
        return f"oversized {name}" if self.id.startswith("large") else name

    def shown(self, rule: Rule) -> tuple[str, ...] | None:
        """Return how it is shown: the operation, the id, and the customer in the data."""
        kind = self.kind(rule).removeprefix("oversized ")
        large = self.id.startswith("large")
        match kind:
            case "inside" | "enters":
                operation = "INSERT" if self.before is None else "UPDATE"
                return operation, self.id, "no data" if large else str(self.after)
            case "leaves":
                return "DELETE left", self.id, "no data"
            case "deleted":
                return "DELETE", self.id, "no data" if large else str(self.before)
        return None


def as_shown(envelope: dict[str, Any]) -> tuple[str, ...]:
    data = envelope["data"]
    row = None if data is None else {name: data[name] for name in ("customer_name", "status")}
    operation = "DELETE left" if envelope.get("left") else envelope["operation"]
    return operation, envelope["id"], "no data" if row is None else str(row)


def script() -> list[Change]:
    """Return the changes: each order is inserted in one state, changed to another, and deleted."""
    small = [("small", one, other) for one, other in product(range(len(STATES)), repeat=2)]
    large = [("large", 0, 0), ("large", 0, 3), ("large", 3, 0), ("large", 3, 3), ("large", 1, 2)]
    found = []
    for size, first, second in [*small, *large]:
        order = f"{size}-{first}-{second}"
        one, other = STATES[first], STATES[second]
        found += [Change(order, None, one), Change(order, one, other), Change(order, other, None)]
    return found


class Snapshot(NamedTuple):
    """The list that a client began with, read after so many changes of the script."""

    after: int
    orders: list[dict[str, Any]]


@dataclass
class Shown:
    """What every client was shown."""

    viewers: dict[tuple[str, str, str], Viewer] = field(default_factory=dict)
    snapshots: dict[tuple[str, str], Snapshot] = field(default_factory=dict)

    def of(self, rule: str, transport: str, source: str) -> list[tuple[str, ...]]:
        told = self.viewers[rule, transport, source].updates
        return [as_shown(each) for each in told if not each["id"].startswith("padding")]

    def due(self, rule: str, transport: str, source: str) -> list[Change]:
        """Return the changes that its stream was to tell it, if they were of its orders."""
        return script()[self.snapshots[rule, transport].after if source == SNAPSHOT else 0 :]


async def write(guarded: Guarded, before: Callable[[int], Awaitable[None]]) -> None:
    for number, change in enumerate(script()):
        await before(number)
        orders = guarded.orders
        key: dict[str, Any] = {"_id": change.id}
        if change.after is None:
            await orders.delete_one(key)
        elif change.before is None:
            more = {"filler": OVERSIZED} if change.id.startswith("large") else {}
            await orders.insert_one({**key, **change.after, **more})
        elif change.before == change.after:
            await orders.update_one(key, {"$set": {"product_name": "other"}})
        else:
            await orders.update_one(key, {"$set": change.after})


async def pad(guarded: Guarded, count: int) -> None:
    """Write orders that no rule allows but the one for everything."""
    for first in range(0, count, 500):
        await guarded.orders.insert_many([{"_id": f"padding-{first}-{n}-{count}"} for n in range(min(500, count))])


async def listed(gateway: ServiceProcess, text: str) -> tuple[list[dict[str, Any]], str]:
    """Return the orders that this token shows, and the cursor of the list."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/api/orders?limit=500", headers=bearer(text)) as response,
    ):
        return await response.json(), response.headers["Stream-Cursor"]


async def resumed(gateway: ServiceProcess, source: str) -> float:
    return await gateway.metric(f'orders_gateway_resumes_total{{source="{source}"}}')


async def have_been_replayed(gateway: ServiceProcess, count: int) -> bool:
    return await gateway.metric('orders_gateway_replays_total{outcome="served"}') >= count


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    async with guarded_on(session_servers, tmp_path_factory.mktemp("table")) as guarded, AsyncExitStack() as stack:
        await guarded.watcher(LOG_MAX_EVENTS="500")
        gateway = await guarded.gateway()
        found = Shown()
        everyone = list(product(RULES, TRANSPORTS))
        joining: list[asyncio.Task[None]] = []

        async def enter(gateway: ServiceProcess, rule: str, transport: str, source: str, since: str | None) -> None:
            text = token(f"{rule} {transport}", rights=RULES[rule].claim)
            # Each at home somewhere else, if the gateway trusts us: an address may have few replays at once.
            headers = {"X-Forwarded-For": f"203.0.113.{len(found.viewers) + 1}"}
            opened = viewer(gateway.url, transport, text, since=since, headers=headers)
            client = await stack.enter_async_context(opened)
            found.viewers[rule, transport, source] = client

        async def join(gateway: ServiceProcess, source: str, since: Mapping[str, str]) -> None:
            for rule, transport in everyone:
                await enter(gateway, rule, transport, source, since.get(rule))
                if source == "oplog":  # one after the other: there are few replays at once
                    served = sum(each == "oplog" for *_, each in found.viewers)
                    await until(partial(have_been_replayed, gateway, served), f"{served} replays are over")

        async def join_in_between(number: int) -> None:
            """Read a list every few changes, and follow from there: changes go on meanwhile."""
            here = [each for n, each in enumerate(everyone) if n * len(script()) // len(everyone) == number]
            for rule, transport in here:
                orders, since = await listed(gateway, token("reader", rights=RULES[rule].claim))
                found.snapshots[rule, transport] = Snapshot(number, orders)
                joining.append(asyncio.create_task(enter(gateway, rule, transport, SNAPSHOT, since)))

        async def settled(source: str) -> None:
            """Wait until everyone has been shown the last change, and then anything that was too much."""
            for (rule, transport, each), client in found.viewers.items():
                if each == source:
                    due = found.due(rule, transport, source)
                    most = sum(change.shown(RULES[rule]) is not None for change in due)
                    await until(
                        lambda rule=rule, transport=transport, most=most: (
                            len(found.of(rule, transport, source))  # type: ignore[misc]
                            >= most
                        ),
                        f"{source} {rule} {transport} {client.names[-3:]}",
                    )
            await asyncio.sleep(0.3)

        await join(gateway, "live", {})
        since = {rule: await here(gateway.url, token("x", rights=RULES[rule].claim)) for rule in RULES}
        await write(guarded, join_in_between)
        await asyncio.gather(*joining)
        await settled("live")
        await settled(SNAPSHOT)
        await join(gateway, "ring", since)
        await settled("ring")
        await pad(guarded, 50)
        other = await guarded.gateway(RING_EVENTS="10", REPLAY_MAX_EVENTS="50000")
        before = await resumed(other, "log")
        await join(other, "log", since)
        assert await resumed(other, "log") == before + len(everyone)
        await settled("log")
        await pad(guarded, 3000)
        third = await guarded.gateway(RING_EVENTS="10", TRUSTED_PROXIES="127.0.0.1")
        before = await resumed(third, "oplog")
        await join(third, "oplog", since)
        assert await resumed(third, "oplog") == before + len(everyone)
        await settled("oplog")
        yield found


@pytest.mark.parametrize("kind", [*KINDS, *(f"oversized {kind}" for kind in KINDS)])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("rule", RULES)
async def test_a_subject_is_shown_what_its_rights_say(
    shown: Shown, rule: str, transport: str, source: str, kind: str
) -> None:
    changes = [change for change in shown.due(rule, transport, source) if change.kind(RULES[rule]) == kind]
    expected = [each for change in changes if (each := change.shown(RULES[rule])) is not None]
    concerning = {_step(change) for change in changes}
    found = [each for each in shown.of(rule, transport, source) if _step_of(each) in concerning]
    assert found == expected


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("rule", RULES)
async def test_all_of_it_comes_in_order_and_nothing_else_does(
    shown: Shown, rule: str, transport: str, source: str
) -> None:
    due = shown.due(rule, transport, source)
    expected = [each for change in due if (each := change.shown(RULES[rule])) is not None]
    assert shown.of(rule, transport, source) == expected
    names = set(shown.viewers[rule, transport, source].names)
    assert names <= {"connected", "orderUpdate", "mark"}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("rule", RULES)
async def test_the_list_before_it_has_the_orders_inside(shown: Shown, rule: str, transport: str) -> None:
    snapshot = shown.snapshots[rule, transport]
    stored = {change.id: change.after for change in script()[: snapshot.after]}
    expected = {order: row for order, row in stored.items() if row is not None and RULES[rule].allows(order, row)}
    assert {each["_id"]: {name: each[name] for name in STATES[0]} for each in snapshot.orders} == expected


def _step(change: Change) -> tuple[str, int]:
    return change.id, 0 if change.before is None else 1 if change.after is not None else 2


def _step_of(shown: tuple[str, ...]) -> tuple[str, int]:
    return shown[1], {"INSERT": 0, "UPDATE": 1, "DELETE left": 1, "DELETE": 2}[shown[0]]
