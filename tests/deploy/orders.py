"""Makes orders over REST while other things happen, and remembers those that were acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.waiting import HANGS, cancel_all

WRITERS = 4


@dataclass
class Orders:
    """The ids of the orders that exist for certain, and how many attempts had no good answer."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def order(number: int) -> dict[str, str]:
    """Return the body of a request that makes an order."""
    return {"customer_name": "Test", "product_name": f"Number {number}", "status": "pending"}


async def create(session: aiohttp.ClientSession, url: str, number: int) -> str:
    """Make one order and return its id; raise ClientError where that was not acknowledged."""
    async with session.post(f"{url}/api/orders", json=order(number)) as response:
        response.raise_for_status()
        body: dict[str, str] = await response.json()
        return body["_id"]


@asynccontextmanager
async def making_orders(url: str, per_second: float) -> AsyncIterator[Orders]:
    """Make orders at this pace meanwhile, as several writers."""
    orders = Orders()

    async def make(number: int) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HANGS)) as session:
            while True:
                number += WRITERS
                try:
                    orders.acknowledged.append(await create(session, url, number))
                except (aiohttp.ClientError, TimeoutError) as error:
                    orders.refused.append(str(error))
                await asyncio.sleep(WRITERS / per_second)

    tasks = [asyncio.create_task(make(first)) for first in range(WRITERS)]
    try:
        yield orders
    finally:
        await cancel_all(*tasks)
