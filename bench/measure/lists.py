"""How long lists take among a thousand, a hundred thousand and a million orders, and what an export takes."""

import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import aiohttp
import bson
from bson import ObjectId
from pymongo import AsyncMongoClient, WriteConcern

from bench.contestants import NODE_SEED, OURS
from bench.plan import Plan
from bench.report.section import Section, Verdict
from bench.stage import Stage
from services.commands.database_spec import INDEXES
from services.gateway.bson_element import element
from services.gateway.list_mark import KeyMark, Place

SIZES = (1_000, 100_000, 1_000_000)
EXPORTED = 100_000
REQUESTS = 200
WRITES = 1_000
BATCH = 10_000
EACH = 50  # orders of a customer, and of a product
CACHE = "cache_size=1G"  # holds them all
STATUSES = ("pending", "shipped", "delivered")
START = datetime(2026, 1, 1, tzinfo=UTC)
OLD_INDEXES = ("status_newest_first", "customer_newest_first")
SORTS = ("-_id", "-updated_at", "customer_name", "product_name", "status")
FILTERED = (
    "status=shipped",
    "customer_name={customer}",
    "customer_name={customer}&status=pending",
    "customer_name=nobody&status=pending",
    "status=pending&status=shipped&sort=-updated_at",
    "customer_name={customer}&sort=-updated_at",
    "q={product}",
    "updated_since={time}",
    "status=shipped&count=true",
)
NOTES = [
    f"""One client asks for lists of 50 over one connection, {REQUESTS} times each after a warm-up, with another
customer, product or place in the list each time; wall-clock times. `deep` is a page that begins at any order. A
customer has about {EACH} orders, and so has a product, at each size, so that the lists are of one length;
MongoDB's cache holds all. node-seed has one list only, the newest.""",
    """An export is read by one client as fast as it comes; its memory is how much the gateway's peak grew. Writes are
those of a driver, one after the other, with the two indexes that there were before lists could be sorted, and with
all; an update changes the status and the time of an order.""",
]
Times = list[float]


@dataclass
class _Found:
    times: dict[str, dict[int, Times]] = field(default_factory=dict)
    exports: dict[str, tuple[float, float]] = field(default_factory=dict)  # rows/s, MiB
    writes: dict[str, Times] = field(default_factory=dict)


async def measure(stage: Stage, plan: Plan) -> Section:
    """Measure each size once: one fills the collection further for the next."""
    found = _Found()
    async with AsyncMongoClient[dict[str, Any]](stage.mongodb_uri, tz_aware=True) as client:
        orders = client.get_default_database()["orders"]
        await client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=CACHE)
        for size in SIZES[:2] if plan.quick else SIZES:
            await _fill(orders, size)
            await client.admin.command("fsync")  # or the lists would wait for the disk that takes what was inserted
            sample = await (await orders.aggregate([{"$sample": {"size": 500}}])).to_list()
            await _measure_size(stage, orders, size, sample, found)
            for name, times in found.times.items():
                plan.progress(
                    f"{size:,} orders, {name}: {median(times[size]) * 1e3:.1f} / {_p95(times[size]) * 1e3:.1f} ms"
                )
            if size == EXPORTED:
                found.writes = await _writes(orders)
    return _section(found)


async def _fill(orders: Any, size: int) -> None:
    chance = random.Random(size)
    there = await orders.estimated_document_count()
    plain = orders.with_options(write_concern=WriteConcern(1))
    await orders.drop_indexes()  # built at once afterwards, in a third of the time
    for first in range(there, size, BATCH):
        await plain.insert_many([_order(chance, size) for _ in range(min(BATCH, size - first))], ordered=False)
    await orders.create_indexes(INDEXES)


def _order(chance: random.Random, size: int) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "customer_name": f"customer {chance.randrange(size // EACH):05}",
        "product_name": f"product {chance.randrange(size // EACH):05}",
        "status": chance.choice(STATUSES),
        "updated_at": START + timedelta(seconds=chance.randrange(10_000_000)),
    }


async def _measure_size(stage: Stage, orders: Any, size: int, sample: Sequence[dict[str, Any]], found: _Found) -> None:
    async with stage.running(NODE_SEED) as running, aiohttp.ClientSession(running.url) as session:
        await _repeat(session, lambda _: "limit=50", sample, found.times.setdefault("newest, node-seed", {}), size)
    async with stage.running(OURS) as running, aiohttp.ClientSession(running.url) as session:
        await _catch_up(session, orders)
        for sort in SORTS:
            await _repeat(session, _plain(sort), sample, found.times.setdefault(f"sort={sort}", {}), size)
            await _repeat(session, _deep(sort), sample, found.times.setdefault(f"sort={sort}, deep", {}), size)
        for query in FILTERED:
            await _repeat(session, _filled(query), sample, found.times.setdefault(query, {}), size)
        if size == EXPORTED:
            for name, media in (("NDJSON", "application/x-ndjson"), ("CSV", "text/csv")):
                found.exports[name] = await _export(session, running.server, media)


async def _catch_up(session: aiohttp.ClientSession, orders: Any) -> None:
    """Wait until the watcher has published all that was inserted before; or the lists would be timed beside that."""
    last = ObjectId()
    async with session.get("/api/orders/events", params={"id": str(last)}, timeout=aiohttp.ClientTimeout()) as response:
        await orders.insert_one({"_id": last})
        async for line in response.content:
            if str(last) in line.decode():
                break
    await orders.delete_one({"_id": last})


def _plain(sort: str) -> Callable[[dict[str, Any]], str]:
    return lambda _: f"sort={sort}&limit=50"


def _deep(sort: str) -> Callable[[dict[str, Any]], str]:
    name = sort.removeprefix("-")

    def query(order: dict[str, Any]) -> str:
        if name == "_id":
            return f"sort={sort}&limit=50&after={order['_id']}"
        value = element(bson.encode(order), name)
        return f"sort={sort}&limit=50&after={KeyMark(sort, Place(0, value, str(order['_id'])))}"

    return query


def _filled(query: str) -> Callable[[dict[str, Any]], str]:
    return lambda order: (
        "limit=50&"
        + query.format(
            customer=order["customer_name"].replace(" ", "+"),
            product=order["product_name"].replace(" ", "+"),
            time=order["updated_at"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
    )


async def _repeat(
    session: aiohttp.ClientSession,
    query: Callable[[dict[str, Any]], str],
    sample: Sequence[dict[str, Any]],
    times: dict[int, Times],
    size: int,
) -> None:
    took = []
    for number in range(REQUESTS + 20):
        address = f"/api/orders?{query(sample[number % len(sample)])}"
        began = perf_counter()
        async with session.get(address) as response:
            await response.read()
            if response.status != 200:
                raise RuntimeError(f"{address}: {response.status} {await response.text()}")
        took.append(perf_counter() - began)
    times[size] = took[20:]


async def _export(session: aiohttp.ClientSession, process: int, media: str) -> tuple[float, float]:
    _forget_peak(process)
    before, began, lines = _peak(process), perf_counter(), 0
    async with session.get("/api/orders?sort=-updated_at", headers={"Accept": media}) as response:
        async for piece in response.content.iter_any():
            lines += piece.count(b"\n")
    seconds = perf_counter() - began
    if lines not in (EXPORTED, EXPORTED + 1):
        raise RuntimeError(f"the export had {lines} lines")
    return EXPORTED / seconds, (_peak(process) - before) / 1024


def _forget_peak(process: int) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")


def _peak(process: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    if found is None:
        raise RuntimeError("the system does not tell a process's peak")
    return int(found[1])


async def _writes(orders: Any) -> dict[str, Times]:
    times: dict[str, Times] = {}
    chance = random.Random(1)
    for name, indexes in (("two indexes", OLD_INDEXES), ("all indexes", None)):
        async with _only(orders, indexes):
            documents = [_order(chance, EXPORTED) for _ in range(WRITES)]
            ids = [one["_id"] for one in documents]
            times[f"insert, {name}"] = [await _took(orders.insert_one(one)) for one in documents]
            changes = [{field: _order(chance, EXPORTED)[field] for field in ("status", "updated_at")} for _ in ids]
            changing = zip(ids, changes, strict=True)
            times[f"update, {name}"] = [
                await _took(orders.update_one({"_id": one}, {"$set": change})) for one, change in changing
            ]
            await orders.delete_many({"_id": {"$in": ids}})
    return times


async def _took(write: Awaitable[object]) -> float:
    began = perf_counter()
    await write
    return perf_counter() - began


@asynccontextmanager
async def _only(orders: Any, names: Sequence[str] | None) -> AsyncIterator[None]:
    """Have only these indexes meanwhile."""
    if names is not None:
        for name in await orders.index_information():
            if name not in (*names, "_id_"):
                await orders.drop_index(name)
    try:
        yield
    finally:
        await orders.create_indexes(INDEXES)


def _p95(times: Times) -> float:
    return quantiles(times, n=20)[-1]


def _section(found: _Found) -> Section:
    rows = []
    worst = 0.0
    for name, by_size in found.times.items():
        p95 = [_p95(times) for times in by_size.values()]
        growth = p95[-1] / p95[0]
        if "node-seed" not in name:
            worst = max(worst, growth)
        cells = [f"{median(times) * 1e3:.1f} / {_p95(times) * 1e3:.1f} ms" for times in by_size.values()]
        rows.append([name, *cells, *[""] * (len(SIZES) - len(cells)), f"{growth:.2f} ×"])
    for name, (rate, memory) in found.exports.items():
        rows.append([f"{name} of {EXPORTED:,}", "", f"{rate:,.0f} rows/s, +{memory:.1f} MiB", "", ""])
    for name, times in found.writes.items():
        rows.append([name, "", f"{median(times) * 1e3:.2f} / {_p95(times) * 1e3:.2f} ms", "", ""])
    verdict = Verdict(
        measure="Lists: p95 at a million orders, the worst list",
        target="≤ 3 × that at a thousand",
        reached=worst,
        limit=3.0,
    )
    headers = ("list of 50, p50 / p95", *(f"{size:,} orders" for size in SIZES), "growth of p95")
    return Section(title="Lists", notes=NOTES, headers=headers, rows=rows, verdicts=[verdict])
