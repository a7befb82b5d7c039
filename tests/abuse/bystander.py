"""Somebody who only wants to work beside an attacker: a websocket, a stream and requests; notes what goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise

import aiohttp
from pymongo.asynchronous.collection import AsyncCollection

from services.common.cursor import Cursor, Position
from tests.waiting import HANGS, cancel_all, until

CUSTOMER = "bystander"
_PAUSE = 0.04  # seconds between two of its orders
_PATIENCE = aiohttp.ClientTimeout(total=30)  # for an answer; how long one takes is not judged here

Orders = AsyncCollection[dict[str, object]]


class _Numbers:
    """Of the orders: no two alike in one run, so that what is told late of an earlier bystander's is no disorder."""

    last = -1


@dataclass
class Ear:
    """What one of its connections was told: the numbers of its own orders, and the place of every change."""

    kind: str
    numbers: list[int] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def take(self, name: str, told: dict[str, object]) -> None:
        match name:
            case "orderUpdate":
                self.positions.append(Cursor.parse(str(told["cursor"])).position)
                order = told["data"]
                if isinstance(order, dict) and order.get("customer_name") == CUSTOMER:
                    self.numbers.append(int(order["product_name"]))
            case "connected" | "mark":
                pass
            case _:
                self.wrong.append(f"{self.kind} was told {name}: {told}")

    def complaints(self, first: int, last: int) -> list[str]:
        """Say what is wrong with what was told, of the orders ``first`` to ``last``."""
        found, self.wrong = self.wrong, []
        numbers = [number for number in self.numbers if number >= first]
        missing = sorted(set(range(first, last + 1)) - set(numbers))
        if missing:
            found.append(f"{self.kind} missed {len(missing)} of {last + 1 - first} orders")
        if numbers != sorted(set(numbers)):
            found.append(f"{self.kind} was told orders twice or out of order")
        if any(after <= before for before, after in pairwise(self.positions)):
            found.append(f"{self.kind} was told changes twice or out of order")
        self.positions = self.positions[-1:]
        self.numbers.clear()
        return found


class Bystander:
    """Writes an order every now and then, and listens for it."""

    def __init__(self, orders: Orders, session: aiohttp.ClientSession, url: str) -> None:
        self._orders = orders
        self._session = session
        self._url = url
        self.ears = [Ear("a websocket"), Ear("a stream")]
        self._written = _Numbers.last
        self._first = 0
        self._refused: list[str] = []
        self.joined = [asyncio.Event() for _ in self.ears]

    async def write(self) -> None:
        for number in count(self._written + 1):
            _Numbers.last = number  # before: a cancelled write may be done all the same, and nobody else is to use it
            await self._orders.insert_one({"customer_name": CUSTOMER, "product_name": str(number), "status": "pending"})
            self._written = number
            await asyncio.sleep(_PAUSE)

    async def ask(self) -> None:
        """Ask for lists over a kept connection, for single orders over new ones; note what is not answered."""
        one = "0123456789abcdef01234567"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as newcomer:
            while True:
                await self._get(self._session, "/api/orders?limit=5", 200)
                await self._get(newcomer, f"/api/orders/{one}", 404)

    async def _get(self, session: aiohttp.ClientSession, path: str, wanted: int) -> None:
        try:
            async with session.get(self._url + path, timeout=_PATIENCE) as response:
                await response.read()
                if response.status != wanted:
                    self._refused.append(f"GET {path.partition('?')[0]} was answered with {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self._refused.append(f"GET {path.partition('?')[0]} was not answered: {type(error).__name__}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.03)

    async def listen_by_websocket(self) -> None:
        ear = self.ears[0]
        try:
            async with self._session.ws_connect(f"{self._url}/socket.io/?EIO=4&transport=websocket") as ws:
                await ws.send_str("40")
                async for message in ws:
                    text = str(message.data)
                    if text == "2":
                        await ws.send_str("3")
                    elif text.startswith("42"):
                        name, told, *_ = json.loads(text[2:])
                        ear.take(name, told)
                        self.joined[0].set()
                ear.wrong.append(f"a websocket was closed with {ws.close_code}")
        except aiohttp.ClientError as error:
            ear.wrong.append(f"a websocket broke: {type(error).__name__}")

    async def listen_by_stream(self) -> None:
        ear = self.ears[1]
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with self._session.get(f"{self._url}/api/orders/events", timeout=timeout) as response:
                name = ""
                async for line in response.content:
                    key, _, value = line.decode().rstrip("\r\n").partition(": ")
                    if key == "event":
                        name = value
                    elif key == "data":
                        ear.take(name, json.loads(value))
                        self.joined[1].set()
                ear.wrong.append("a stream was ended")
        except aiohttp.ClientError as error:
            ear.wrong.append(f"a stream broke: {type(error).__name__}")

    def begin(self) -> None:
        """Judge from here on: from the next order, for the one that is being written may have been told already."""
        self._first = _Numbers.last + 1

    async def complaints(self, patience: float) -> list[str]:
        """Wait until everything that was written is told, at most so long; say what went wrong since `begin`."""
        last = self._written
        told = f"order {last} is told"
        found: list[str] = []
        try:
            await until(lambda: all(ear.numbers and ear.numbers[-1] >= last for ear in self.ears), told, patience)
        except AssertionError:
            found.append(
                f"after {patience:.0f} s, order {last} had not come: {[len(ear.numbers) for ear in self.ears]}"
            )
        for ear in self.ears:
            found += ear.complaints(self._first, last)
        if self._refused:
            found.append(f"{len(self._refused)} requests failed: {', '.join(sorted(set(self._refused)))}")
            self._refused.clear()
        return found


@asynccontextmanager
async def bystander(orders: Orders, url: str) -> AsyncIterator[Bystander]:
    """Let somebody work meanwhile; he is connected when this returns."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        somebody = Bystander(orders, session, url)
        work = [somebody.listen_by_websocket(), somebody.listen_by_stream(), somebody.ask(), somebody.write()]
        tasks = [asyncio.create_task(each) for each in work]
        try:
            async with asyncio.timeout(HANGS):
                await asyncio.gather(*(joined.wait() for joined in somebody.joined))
            yield somebody
        finally:
            await cancel_all(*tasks)
