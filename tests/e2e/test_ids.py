"""Ids of every kind that MongoDB stores: each has a text of its own, by which its order can be followed and used."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from tests.e2e.clients import Listener, curl
from tests.e2e.conftest import Product
from tests.id_kinds import IDS

JOHN = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}


async def test_each_order_is_listed_followed_read_changed_and_deleted_by_its_id(product: Product) -> None:
    await product.watcher()
    gateway = await product.gateway()
    async with curl(f"{gateway.url}/api/orders/events") as everything, aiohttp.ClientSession(gateway.url) as session:
        await product.orders.insert_many([{**JOHN, "_id": one, "number": n} for n, one in enumerate(IDS)])
        inserted = await everything.has(len(IDS))
        texts: list[str] = [each["id"] for each in inserted]
        assert len(set(texts)) == len(IDS)
        assert [each["data"]["_id"] for each in inserted] == texts

        listed = await answer(session, "GET", "?limit=500")
        assert {order["number"]: order["_id"] for order in listed} == dict(enumerate(texts))
        assert await one_by_one(session) == [order["_id"] for order in listed]
        for number, text in enumerate(texts):
            [found] = await answer(session, "GET", f"?id={quote(text, safe='')}")
            assert found == await answer(session, "GET", f"/{quote(text, safe='')}")
            assert (found["_id"], found["number"]) == (text, number)

        async with following(gateway.url, texts) as followers:
            for text in texts:
                changed = await answer(session, "PUT", f"/{quote(text, safe='')}", json={"status": "shipped"})
                assert (changed["_id"], changed["status"]) == (text, "shipped")
                assert (await answer(session, "DELETE", f"/{quote(text, safe='')}"))["_id"] == text
            told = [each["id"] for each in (await everything.has(3 * len(IDS)))[len(IDS) :]]
            assert told == [text for text in texts for _ in ("UPDATE", "DELETE")]
            for asked, follower in followers:
                seen = [each["id"] for each in await follower.has(2 * len(asked))]
                assert seen == [text for text in asked for _ in ("UPDATE", "DELETE")]
        assert await product.orders.count_documents({}) == 0


async def answer(session: aiohttp.ClientSession, method: str, address: str, **options: Any) -> Any:
    async with session.request(method, URL(f"/api/orders{address}", encoded=True), **options) as reply:
        assert reply.status == 200, (address, await reply.text())
        return await reply.json()


async def one_by_one(session: aiohttp.ClientSession) -> list[str]:
    """Return the ids of all orders, as the links lead from one to the next."""
    seen: list[str] = []
    address = "/api/orders?limit=1"
    while address and len(seen) <= len(IDS):
        async with session.get(URL(address, encoded=True)) as reply:
            assert reply.status == 200, address
            seen += [order["_id"] for order in await reply.json()]
            address = reply.headers.get("Link", "").removeprefix("<").removesuffix('>; rel="next"')
    return seen


@asynccontextmanager
async def following(url: str, texts: Sequence[str]) -> AsyncIterator[list[tuple[Sequence[str], Listener]]]:
    """Follow the orders in groups that are small enough for a filter, and yield the events of each group."""
    short = [text for text in texts if len(text) < 200]
    groups = [short[n : n + 15] for n in range(0, len(short), 15)]
    async with AsyncExitStack() as stack:
        followers: list[tuple[Sequence[str], Listener]] = []
        for group in groups:
            query = "&".join(f"id={quote(text, safe='')}" for text in group)
            followers.append((group, await stack.enter_async_context(curl(f"{url}/api/orders/events?{query}"))))
        yield followers
