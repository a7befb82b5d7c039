"""An order outside of a subject's rights and one that does not exist: not to be told apart, however one asks.

What an answer takes depends on the machine, so no test can compare times. It compares what MongoDB is asked: the same
commands, in the same order, of the same shape, by the same plan.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from tests.access.conftest import Gate
from tests.access.tokens import token
from tests.waiting import HANGS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVE = {"customer_name": "Eve", "product_name": "Lamp", "status": "pending"}
RIGHTS: dict[str, Any] = {
    "a customer": {"customer_name": "Ada"},
    "both fields": {"customer_name": ["Ada", "Bob"], "status": "pending"},
    "any of two": [{"customer_name": "Ada"}, {"status": "shipped"}],
    "an id": {"ids": ["another"]},
    "nothing": [],
}
REQUESTS = {
    "GET": ("GET", "/api/orders/{}", None),
    "HEAD": ("HEAD", "/api/orders/{}", None),
    "PUT": ("PUT", "/api/orders/{}", {"product_name": "Desk"}),
    "PUT into the rights": ("PUT", "/api/orders/{}", {"customer_name": "Ada", "status": "pending"}),
    "PUT out of the rights": ("PUT", "/api/orders/{}", {"customer_name": "Zoe", "status": "delivered"}),
    "DELETE": ("DELETE", "/api/orders/{}", None),
    "list of it": ("GET", "/api/orders?id={}", None),
    "list below it": ("GET", "/api/orders?after={}&customer_name=Eve", None),
}
# The same length, so that not even that differs.
ABSENT, OUTSIDE, LARGE = "order-0", "order-1", "order-2"


class Answer(NamedTuple):
    """All bytes of an answer, without the times in it, and what MongoDB was asked for it."""

    bytes: list[bytes]
    asked: list[dict[str, Any]]


async def exchange(gate: Gate, method: str, path: str, text: str, body: Any) -> list[bytes]:
    """Return the lines of the answer as they came."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{gate.process.port}", f"Authorization: Bearer {text}"]
    headers += ["Connection: close", f"Content-Length: {len(content)}", "Content-Type: application/json", "", ""]
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.process.port)
    writer.write("\r\n".join(headers).encode() + content)
    async with asyncio.timeout(HANGS):
        answer = await reader.read()
    writer.close()
    times = (b"Date: ", b"Stream-Cursor: ", b"RateLimit: ")  # the last one counts the requests
    return [next((name for name in times if line.startswith(name)), line) for line in answer.split(b"\r\n")]


@asynccontextmanager
async def profiled(gate: Gate) -> AsyncIterator[None]:
    """Let MongoDB record all that it is asked."""
    database = gate.orders.database
    await database.command("profile", 2)
    try:
        yield
    finally:
        await database.command("profile", 0)
        await database.drop_collection("system.profile")


async def asked(gate: Gate, since: int) -> list[dict[str, Any]]:
    """Return the shapes of what the gateway has asked, but for the first so many."""
    gateways = {"ns": f"{gate.orders.database.name}.{gate.orders.name}", "appName": "orders-gateway"}
    found = await gate.orders.database["system.profile"].find(gateways).sort("$natural", 1).to_list()
    return [shape(each) for each in found[since:]]


def shape(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a command without what differs from one request to the next: its id, its session, its times."""
    command = {name: value for name, value in entry["command"].items() if name not in {"lsid", "$clusterTime"}}
    text = json.dumps(command, default=str, sort_keys=True)
    for order in (ABSENT, OUTSIDE, LARGE):
        text = text.replace(order, "the order")
    text = re.sub(r"[0-9]+", "?", text)
    return {"command": text, "plan": entry.get("planSummary"), "returned": entry.get("nreturned")}


async def answer(gate: Gate, request: str, order: str, text: str) -> Answer:
    method, path, body = REQUESTS[request]
    before = len(await asked(gate, 0))
    lines = await exchange(gate, method, path.format(order), text, body)
    await until(lambda: asked(gate, before), "MongoDB was asked")
    return Answer([line.replace(order.encode(), b"the order") for line in lines], await asked(gate, before))


async def assert_not_told_apart(gate: Gate, request: str, order: str, text: str) -> None:
    """Ask for both, up to three times: once, on a busy machine, the commands differed, and nobody knows why.

    The driver may have repeated one. What always differs is found.
    """
    for _ in range(3):
        expected, found = await answer(gate, request, ABSENT, text), await answer(gate, request, order, text)
        assert expected.bytes[0] == (b"HTTP/1.1 200 OK" if "list" in request else b"HTTP/1.1 404 Not Found"), request
        assert found.bytes == expected.bytes, (request, order)
        if found.asked == expected.asked:
            return
    pytest.fail(f"{request} of {order}: MongoDB is asked {found.asked}, and for one that is absent {expected.asked}")


@pytest.mark.parametrize("rights", RIGHTS)
async def test_an_order_outside_is_not_told_from_none_by_a_byte_or_a_query(gate: Gate, rights: str) -> None:
    await gate.orders.delete_many({})
    await gate.orders.insert_many([{"_id": OUTSIDE, **EVE}, {"_id": LARGE, **EVE, "filler": "x" * 300_000}])
    text = token("ada", rights=RIGHTS[rights])
    async with profiled(gate):
        for request in REQUESTS:  # once for nothing: the first list asks for the indexes
            await answer(gate, request, ABSENT, text)
        for request in REQUESTS:
            for order in (OUTSIDE, LARGE):
                await assert_not_told_apart(gate, request, order, text)
    assert await gate.orders.count_documents(EVE) == 2, "nothing was written"
