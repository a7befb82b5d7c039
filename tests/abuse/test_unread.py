"""Clients that never read cost the gateway a bounded amount of memory, all together, and the others nothing."""

from contextlib import ExitStack, closing

from bson import ObjectId
from pymongo import AsyncMongoClient

from tests.abuse.fed import Bystander, Fed, fed
from tests.abuse.hostile import WEBSOCKET, connect_packet, opened, sse
from tests.conftest import RunService
from tests.waiting import until

BUDGET = 16 << 20
RING = 8 << 20
SETTINGS = {"CLIENT_BUFFERS_TOTAL_BYTES": str(BUDGET), "RING_BYTES": str(RING)}
# What a Python process takes besides, for 500 connections and for events of 60 KB on their way.
BESIDES = 48 << 20


async def clients(world: Fed, count: int) -> bool:
    return await world.figure("orders_gateway_clients") == count


async def test_five_hundred_that_never_read_hold_no_more_than_the_budget(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    settings = {**SETTINGS, "CLIENT_STALL_SECONDS": "4"}
    async with fed(run_service, mongodb_uri, redis_url, settings) as world, Bystander(world.gateway.url) as bystander:
        memory = world.memory()
        with ExitStack() as stack:
            for _ in range(250):
                for first in ([sse()], [WEBSOCKET, connect_packet()]):
                    stack.enter_context(closing(opened(world.gateway.port, first)))
            await until(lambda: clients(world, 501), "they are connected")
            await world.publish(16, size=60_000, at_once=16)  # nobody's kernel takes the whole of it
            for size in (280, 2_000, 60_000, 20_000):
                await world.publish(100, size=size)
            await bystander.has(range(1, world.last + 1))
            assert world.most_memory() - memory < BUDGET + RING + BESIDES
            await until(lambda: clients(world, 1), "they are cut", 60)
            assert await world.figure("orders_gateway_incidents_total", "slow_consumer") == 500
        await world.publish(1)
        await bystander.has(range(1, world.last + 1))
        assert await world.figure("orders_gateway_unsent_bytes") == 0


async def test_those_that_ask_for_all_that_was_and_never_read_are_cut_beyond_the_budget(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    """Each has pages of its own made for it; before anybody has been slow for long the budget is used up."""
    budget = 2 << 20
    settings = {**SETTINGS, "CLIENT_BUFFERS_TOTAL_BYTES": str(budget), "CLIENT_STALL_SECONDS": "3600"}
    async with fed(run_service, mongodb_uri, redis_url, settings) as world, Bystander(world.gateway.url) as bystander:
        await world.publish(300, size=5_000)
        await bystander.has(range(1, 301))
        memory = world.memory()
        with ExitStack() as stack:
            since = world.cursor(1)
            auth = f'{{"since":"{since}"}}'
            for _ in range(100):
                for first in ([sse(f"?since={since}")], [WEBSOCKET, connect_packet(auth)]):
                    stack.enter_context(closing(opened(world.gateway.port, first)))

            async def judged() -> bool:
                gone = await world.figure("orders_gateway_incidents_total", "slow_consumer")
                return gone > 0 and gone + await world.figure("orders_gateway_clients") == 201

            await until(judged, "some are cut and the others hold what the budget allows", 60)
            assert await world.figure("orders_gateway_unsent_bytes") <= budget
            assert world.most_memory() - memory < budget + RING + BESIDES
            await world.publish(100)
            await bystander.has(range(1, world.last + 1))
        await until(lambda: clients(world, 1), "nobody else is left")
        assert await world.figure("orders_gateway_unsent_bytes") == 0


async def unsent_and_cut(world: Fed) -> tuple[float, float]:
    cut = await world.figure("orders_gateway_incidents_total", "slow_consumer")
    return await world.figure("orders_gateway_unsent_bytes"), cut


async def test_answers_of_megabytes_that_nobody_reads_hold_no_more_than_the_budget(
    run_service: RunService, mongodb_uri: str, redis_url: str
) -> None:
    """The API takes no such order, but others write to the collection, too."""
    _id, size = ObjectId(), 8 << 20
    async with AsyncMongoClient[dict[str, object]](mongodb_uri) as client:
        await client.get_default_database()["orders"].insert_one({"_id": _id, "notes": "x" * size})
    ask = f"GET /api/orders/{_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with fed(run_service, mongodb_uri, redis_url, SETTINGS) as world, Bystander(world.gateway.url) as bystander:
        memory = world.memory()
        unsent, cut = 0.0, 0.0
        with ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(closing(opened(world.gateway.port, [ask])))

                async def has_answer(unsent: float = unsent, cut: float = cut) -> bool:
                    return await unsent_and_cut(world) != (unsent, cut)

                await until(has_answer, "it has its answer, which nobody takes")
                first = not unsent
                unsent, cut = await unsent_and_cut(world)
                assert not first or unsent > size - (1 << 20), "the kernel takes little of it"
                assert unsent <= BUDGET
            # While one is made, it is there several times: as BSON, as JSON, and as what is sent.
            assert world.most_memory() - memory < BUDGET + 12 * size
            await world.publish(100)
            await bystander.has(range(1, world.last + 1))

        async def empty() -> bool:
            return await world.figure("orders_gateway_unsent_bytes") == 0

        await until(empty, "nothing is held for those that have left")
