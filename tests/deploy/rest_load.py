"""A constant load of REST requests, and what was answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.deploy.orders import create

PER_SECOND = 20
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass
class RestLoad:
    """The requests so far; two of three read, the third makes an order."""

    sent: int = 0
    refused: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)  # ids of the orders that exist for certain


@asynccontextmanager
async def rest_load(url: str, per_second: float = PER_SECOND) -> AsyncIterator[RestLoad]:
    """Send requests at this pace whatever becomes of the earlier ones; wait for all answers in the end."""
    load = RestLoad()
    # Reading goes over connections that stay open, as from browsers; each order comes over a new one, as from scripts.
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as kept,
        aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(force_close=True)) as fresh,
    ):

        async def send(number: int) -> None:
            load.sent += 1
            try:
                if number % 3 == 0:
                    load.acknowledged.append(await create(fresh, url, number))
                else:
                    path = "/api/orders?limit=5" if number % 3 == 1 else f"/api/orders/{load.acknowledged[-1]}"
                    async with kept.get(url + path) as response:
                        response.raise_for_status()
                        await response.read()
            except aiohttp.ClientResponseError as error:
                load.refused.append(f"{'POST' if number % 3 == 0 else 'GET'}: {error.status}")
            except (aiohttp.ClientError, TimeoutError) as error:
                load.refused.append(f"{'POST' if number % 3 == 0 else 'GET'}: {type(error).__name__} {error}")

        load.acknowledged.append(await create(fresh, url, 0))
        load.sent += 1

        async def send_all() -> None:
            loop, number = asyncio.get_running_loop(), 0
            async with asyncio.TaskGroup() as requests:
                due = loop.time()
                while not done.is_set():
                    number, due = number + 1, due + 1 / per_second
                    requests.create_task(send(number))
                    await asyncio.sleep(due - loop.time())

        done = asyncio.Event()
        sending = asyncio.create_task(send_all())
        try:
            yield load
        finally:
            done.set()
            await sending
