"""Changes orders in every way there is, at a steady rate, and records the outcome of each write in the ledger."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
from bson import ObjectId
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import PyMongoError

from tests.faults.crowd import CUSTOMERS
from tests.faults.ledger import Ledger, Outcome
from tests.faults.order import STATUSES, stamped

Document = dict[str, Any]

WRITERS = 40
# Few enough for one page of the list, many enough that most writes do not conflict.
USUAL_ORDERS = 250
MOST_ORDERS = 400
PATIENCE = 4.0
# Writers that were held up catch up by this much only: the load must be a rate, not a flood.
MAX_CATCH_UP = 0.2


class Writers:
    """All writers, each with a schedule of its own."""

    def __init__(
        self, database: Any, gateways: Sequence[str], session: aiohttp.ClientSession, rate: float, rng: random.Random
    ) -> None:
        self.ledger = Ledger()
        self.errors: dict[str, int] = {}
        self._client = database.client
        self._orders = database.get_collection("orders", write_concern=WriteConcern("majority"))
        self._gateways = gateways
        self._session = session
        self._interval = WRITERS / rate
        self._rng = rng
        self._ids: list[ObjectId] = []
        self._going = asyncio.Event()
        self._going.set()
        self._busy = 0
        self._idle = asyncio.Event()

    async def write_always(self) -> None:
        """Write until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._rng.uniform(0, self._interval)
        while True:
            await self._going.wait()
            due = max(due + self._interval, loop.time() - MAX_CATCH_UP)
            await asyncio.sleep(due - loop.time())
            if self._going.is_set():
                self._busy += 1
                try:
                    await self._write()
                finally:
                    self._busy -= 1
                    if not self._busy:
                        self._idle.set()

    async def pause(self) -> None:
        """Stop writing, and return when no write is in flight."""
        self._going.clear()
        while self._busy:
            self._idle.clear()
            await self._idle.wait()

    def resume(self) -> None:
        self._going.set()

    def forget(self) -> None:
        """Write to none of the orders so far: they are gone."""
        self._ids.clear()

    async def insert(self, customer: str, status: str) -> ObjectId:
        """Write one more order, acknowledged, for the audit's own purposes; raise PyMongoError."""
        stamp = self.ledger.next_stamp()
        new = ObjectId()
        document = {"_id": new, **self._content(stamp), "customer_name": customer, "status": status}
        await self._orders.insert_one(document)
        self.ledger.settle([stamp], Outcome.DONE)
        self._ids.append(new)
        return new

    async def _write(self) -> None:
        draw = self._rng.random()
        crowded = len(self._ids) / USUAL_ORDERS
        if not self._ids or (draw < 0.14 / max(crowded, 0.2) and len(self._ids) < MOST_ORDERS):
            await self._insert(rest=self._rng.random() < 0.2)
        elif draw > 1 - 0.08 * crowded:
            await self._delete(rest=self._rng.random() < 0.2)
        elif draw > 0.80:
            await self._replace()
        elif draw > 0.77 and len(self._ids) > 20:
            await self._transact()
        else:
            await self._update(rest=self._rng.random() < 0.1)

    async def _insert(self, *, rest: bool) -> None:
        stamp = self.ledger.next_stamp()
        content = self._content(stamp)
        if rest:
            del content["updated_at"]
            status, body = await self._request("POST", "", content)
            self._settle_rest([stamp], status)
            if status == 201:
                self._ids.append(ObjectId(body["_id"]))
            return
        document = {"_id": ObjectId(), **content}
        if await self._direct([stamp], self._orders.insert_one(document)):
            self._ids.append(document["_id"])

    async def _update(self, *, rest: bool) -> None:
        order = self._rng.choice(self._ids)
        stamp = self.ledger.next_stamp()
        change: Document = {"product_name": stamped(stamp)}
        if self._rng.random() < 0.4:
            change["status"] = self._rng.choice(STATUSES)
        if self._rng.random() < 0.2:
            change["customer_name"] = self._rng.choice(CUSTOMERS)
        if rest:
            status, _ = await self._request("PUT", f"/{order}", change)
            self._settle_rest([stamp], status)
        else:
            await self._direct(
                [stamp], self._orders.update_one({"_id": order}, {"$set": {**change, "updated_at": _now()}})
            )

    async def _replace(self) -> None:
        order = self._rng.choice(self._ids)
        stamp = self.ledger.next_stamp()
        await self._direct([stamp], self._orders.replace_one({"_id": order}, self._content(stamp)))

    async def _delete(self, *, rest: bool) -> None:
        order = self._ids.pop(self._rng.randrange(len(self._ids)))
        self.ledger.deletions[str(order)] = Outcome.UNKNOWN
        if rest:
            status, _ = await self._request("DELETE", f"/{order}", None)
            if status == 200:
                self.ledger.deletions[str(order)] = Outcome.DONE
            return
        try:
            async with asyncio.timeout(PATIENCE):
                result = await self._orders.delete_one({"_id": order})
        except (PyMongoError, TimeoutError) as error:
            self._count(error)
            return
        if result.deleted_count:
            self.ledger.deletions[str(order)] = Outcome.DONE

    async def _transact(self) -> None:
        """Change several orders at once: they share one cluster time."""
        orders = self._rng.sample(self._ids, self._rng.randint(2, 5))
        stamps = [self.ledger.next_stamp() for _ in orders]
        try:
            async with asyncio.timeout(PATIENCE), self._client.start_session() as session:
                counts = await self._replace_together(session, dict(zip(orders, stamps, strict=True)))
        except (PyMongoError, TimeoutError) as error:
            self._count(error)
            return
        for stamp, count in zip(stamps, counts, strict=True):
            self.ledger.settle([stamp], Outcome.DONE if count else Outcome.REFUSED)

    async def _replace_together(self, session: Any, stamps: dict[ObjectId, int]) -> list[int]:
        async with await session.start_transaction(write_concern=WriteConcern("majority")):
            return [
                (await self._orders.replace_one({"_id": order}, self._content(stamp), session=session)).matched_count
                for order, stamp in stamps.items()
            ]

    async def _direct(self, stamps: list[int], write: Any) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                result = await write
        except (PyMongoError, TimeoutError) as error:
            self._count(error)
            return False
        missed = getattr(result, "matched_count", 1) == 0
        self.ledger.settle(stamps, Outcome.REFUSED if missed else Outcome.DONE)
        return not missed

    async def _request(self, method: str, path: str, body: Document | None) -> tuple[int, Document]:
        gateway = self._rng.choice(self._gateways)
        try:
            async with self._session.request(method, f"{gateway}/api/orders{path}", json=body) as response:
                answer = await response.json(content_type=None)
                return self._judged(response.status, answer), answer
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._count(error)
            return 0, {}

    def _judged(self, status: int, answer: Document) -> int:
        # 503 comes in two kinds: nothing was written (unavailable), or the outcome is unknown (unknown-outcome).
        if status == 503 and "unknown" in str(answer.get("type", "")):
            return 0
        if status >= 400 and status not in (404, 503):
            self.errors[f"REST {status}"] = self.errors.get(f"REST {status}", 0) + 1
        return status

    def _settle_rest(self, stamps: list[int], status: int) -> None:
        if status in (200, 201):
            self.ledger.settle(stamps, Outcome.DONE)
        elif status in (404, 503):
            self.ledger.settle(stamps, Outcome.REFUSED)

    def _content(self, stamp: int) -> Document:
        return {
            "customer_name": self._rng.choice(CUSTOMERS),
            "product_name": stamped(stamp),
            "status": self._rng.choice(STATUSES),
            "updated_at": _now(),
        }

    def _count(self, error: BaseException) -> None:
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def writers(
    mongodb_uri: str, gateways: Sequence[str], rate: float, rng: random.Random, headers: Mapping[str, str]
) -> AsyncIterator[Writers]:
    """Write meanwhile; ``headers`` are those of requests."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(
        mongodb_uri, connectTimeoutMS=2000, serverSelectionTimeoutMS=3000, heartbeatFrequencyMS=1000
    )
    timeout = aiohttp.ClientTimeout(total=PATIENCE + 4)
    async with client, aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        all_writers = Writers(client.get_default_database(), gateways, session, rate, rng)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(all_writers.write_always()) for _ in range(WRITERS)]
            yield all_writers
            for task in tasks:
                task.cancel()
