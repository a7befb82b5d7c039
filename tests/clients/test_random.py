"""Random writes and breaks: every copy, of each library over each transport, is exact at every position it shows."""

import random
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.clients.database import watched
from tests.clients.subject import LIBRARIES, TRANSPORTS, subject
from tests.clients.test_scenarios import compare, scene
from tests.conftest import RunService

NAMES = [f"order-{number}" for number in range(12)]
STATUSES = ["pending", "shipped", "delivered"]
FILTER = {"status": ["pending", "shipped"]}


def step(dice: random.Random, number: int) -> dict[str, Any]:
    """Return the next thing that happens; which orders exist does not matter to any of them."""
    name = dice.choice(NAMES)
    match dice.choices(("update", "insert", "delete", "transaction", "cut", "hop", "use"), (8, 6, 4, 2, 2, 1, 2))[0]:
        case "insert":
            return {"insert": [{"_id": f"{name}-{number}", "status": dice.choice(STATUSES)}]}
        case "update":
            return {"update": {"_id": name, "set": {"status": dice.choice(STATUSES), "n": number}}}
        case "delete":
            return {"delete": [f"{name}-{earlier}" for earlier in range(number)]}
        case "transaction":
            both = [{"update": {"_id": each, "set": {"n": number}}} for each in dice.sample(NAMES, 3)]
            return {"transaction": [*both, {"insert": [{"_id": f"both-{number}", "status": "pending"}]}]}
        case "use":
            return {"use": dice.choice(TRANSPORTS)}
        case breaks:
            return {breaks: True}


@pytest.mark.parametrize("seed", [1, 2])
async def test_copies_stay_exact(mongodb_uri: str, redis_url: str, run_service: RunService, seed: int) -> None:
    dice = random.Random(seed)
    async with scene(mongodb_uri, redis_url, run_service) as made, AsyncExitStack() as stack:
        await made.change({"insert": [{"_id": name, "status": "pending"} for name in NAMES]})
        made.libraries = [await stack.enter_async_context(subject(library)) for library in LIBRARIES]
        made.database = await stack.enter_async_context(watched(made.orders, FILTER))
        for copy in made.libraries:
            others = [each for each in TRANSPORTS if each != copy.over]
            copy.open(made.link.url, filter=FILTER, transports=[copy.over, *others])
        for number in range(80):
            await made.act(step(dice, number))
            if number % 20 == 19:
                await made.settled()
        for copy in made.libraries:
            compare(copy, made.database, has_one_epoch=True)
