"""A constant load of REST requests, and what was answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.deploy.orders import order

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
    done = asyncio.Event()
    # Reading goes over connections that stay open, as from browsers; each order comes over a new one, as from scripts.
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as kept,
        aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(force_close=True)) as fresh,
    ):

        async def send(number: int) -> None:
            load.sent += 1
            match number % 3:
                case 0:
                    request = fresh.post(f"{url}/api/orders", json=order(number))
                case 1:
                    request = kept.get(f"{url}/api/orders?limit=5")
                case _:
                    request = kept.get(f"{url}/api/orders/{load.acknowledged[-1]}")
            try:
                async with request as response:
                    if not response.ok:
                        text = " ".join((await response.text()).split())
                        load.refused.append(f"{response.method} {response.status} {text[:200]}")
                    elif number % 3 == 0:
                        load.acknowledged.append((await response.json())["_id"])
                    else:
                        await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                load.refused.append(f"{'POST' if number % 3 == 0 else 'GET'} {type(error).__name__} {error}")

        async def send_all() -> None:
            loop, number = asyncio.get_running_loop(), 0
            due = loop.time()
            async with asyncio.TaskGroup() as requests:
                while not done.is_set():
                    number, due = number + 1, due + 1 / per_second
                    requests.create_task(send(number))
                    await asyncio.sleep(due - loop.time())

        await send(0)
        if not load.acknowledged:
            raise AssertionError(f"the first order is refused: {load.refused}")
        sending = asyncio.create_task(send_all())
        try:
            yield load
        finally:
            done.set()
            await sending
