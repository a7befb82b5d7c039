"""Everything at once: a long row of random faults, chosen by the seed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.embedded.replica_set import direct_client
from services.embedded.server import Server
from tests.faults.audit import Audit
from tests.faults.scenario import scenario
from tests.faults.stack import Shape

SECONDS = 60.0
# After the last fault all may still be busy with the one before: an election, a lease, a reconnect.
RECOVERY = 12.0


@scenario("C1", shape=Shape(members=3, durable=True))
async def break_everything_at_random(audit: Audit) -> None:
    """For a minute, every one to three seconds one of fourteen faults: in MongoDB, Redis, watchers and gateways."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    faults = _faults(audit)
    while loop.time() - began < SECONDS:
        fault = audit.rng.choice(faults)
        with suppress(PyMongoError, RedisError):  # what it was to break may just be broken
            await fault()
        audit.injected()
        await audit.load(audit.rng.uniform(1.0, 3.0))
    await audit.recovers("the last of the faults", within=RECOVERY)


def _faults(audit: Audit) -> list[Callable[[], Awaitable[None]]]:
    stack = audit.stack

    async def kill_a_watcher() -> None:
        await _kill(audit.rng.choice(stack.watchers))

    async def stop_a_watcher() -> None:
        await audit.rng.choice(stack.watchers).restart()

    async def freeze_a_watcher() -> None:
        await _freeze(audit, audit.rng.choice(stack.watchers), 7.0)

    async def kill_a_gateway() -> None:
        await _kill(audit.rng.choice(stack.gateways))

    async def stop_a_gateway() -> None:
        await audit.rng.choice(stack.gateways).restart()

    async def freeze_a_gateway() -> None:
        await _freeze(audit, audit.rng.choice(stack.gateways), 3.0)

    async def kill_redis() -> None:
        await _kill(stack.valkey)

    async def freeze_redis() -> None:
        await _freeze(audit, stack.valkey, 2.0)

    async def step_down() -> None:
        primary = await stack.primary()
        async with direct_client(primary.host) as client:
            await client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=3)

    async def kill_a_member() -> None:
        await _kill(audit.rng.choice(stack.members))

    async def freeze_a_member() -> None:
        await _freeze(audit, audit.rng.choice(stack.members), 4.0)

    return [
        kill_a_watcher,
        stop_a_watcher,
        freeze_a_watcher,
        kill_a_gateway,
        stop_a_gateway,
        freeze_a_gateway,
        kill_redis,
        freeze_redis,
        step_down,
        kill_a_member,
        freeze_a_member,
        lambda: _tell_redis(audit, "FLUSHALL"),
        lambda: _tell_redis(audit, "CLIENT", "KILL", "TYPE", "pubsub"),
        lambda: _tell_redis(audit, "SCRIPT", "FLUSH"),
    ]


async def _kill(server: Server) -> None:
    await server.kill()
    await server.start()


async def _freeze(audit: Audit, server: Server, most: float) -> None:
    server.pause()
    await audit.load(audit.rng.uniform(0.5, most))
    server.resume()


async def _tell_redis(audit: Audit, *command: str) -> None:
    async with Redis.from_url(audit.stack.redis_url) as redis:
        await redis.execute_command(*command)  # type: ignore[no-untyped-call]


SCENARIOS = [break_everything_at_random]
