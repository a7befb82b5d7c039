"""Everything at once: a long series of random faults, chosen by the seed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.embedded.replica_set import direct_client
from services.embedded.server import EmbeddedServer
from tests.faults.audit import Audit
from tests.faults.scenario import scenario
from tests.faults.stack import Shape

SECONDS = 60.0
# After the last fault the stack may still be recovering from the one before: an election, a lease, a reconnect.
RECOVERY = 12.0


@scenario("C1", shape=Shape(members=3, durable=True))
async def break_everything_at_random(audit: Audit) -> None:
    """For a minute, one of fourteen faults every one to three seconds: in MongoDB, Redis, watchers and gateways."""
    await _break_at_random(audit)


# So short that clients which come back are served from Redis, and soon from the oplog.
_SHORT = {"RING_EVENTS": "200"}


@scenario(
    "C1",
    shape=Shape(members=3, durable=True, jwt=True, settings={"LOG_MAX_EVENTS": "1000"}, gateway_settings=_SHORT),
)
async def break_everything_for_restricted_subjects(audit: Audit) -> None:
    """The same faults, for clients with tokens for few orders each, and with a short memory in Redis and gateways."""
    await _break_at_random(audit)


async def _break_at_random(audit: Audit) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    faults = _faults(audit)
    while loop.time() - began < SECONDS:
        fault = audit.rng.choice(faults)
        with suppress(PyMongoError, RedisError):  # its target may be broken at the moment
            await fault()
        audit.injected()
        await audit.run_for(audit.rng.uniform(1.0, 3.0))
    await audit.expect_recovery("the last of the faults", within=RECOVERY)


def _faults(audit: Audit) -> list[Callable[[], Awaitable[None]]]:
    stack, choice = audit.stack, audit.rng.choice
    return [
        lambda: _kill(choice(stack.watchers)),
        lambda: choice(stack.watchers).restart(),
        lambda: _freeze(audit, choice(stack.watchers), 7.0),
        lambda: _kill(choice(stack.gateways)),
        lambda: choice(stack.gateways).restart(),
        lambda: _freeze(audit, choice(stack.gateways), 3.0),
        lambda: _kill(stack.valkey),
        lambda: _freeze(audit, stack.valkey, 2.0),
        lambda: _tell_redis(audit, "FLUSHALL"),
        lambda: _tell_redis(audit, "CLIENT", "KILL", "TYPE", "pubsub"),
        lambda: _tell_redis(audit, "SCRIPT", "FLUSH"),
        lambda: _kill(choice(stack.members)),
        lambda: _freeze(audit, choice(stack.members), 4.0),
        lambda: _step_down(audit),
    ]


async def _step_down(audit: Audit) -> None:
    primary = await audit.stack.primary()
    async with direct_client(primary.host) as client:
        await client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=3)


async def _kill(server: EmbeddedServer) -> None:
    await server.kill()
    await server.start()


async def _freeze(audit: Audit, server: EmbeddedServer, most: float) -> None:
    server.pause()
    await audit.run_for(audit.rng.uniform(0.5, most))
    server.resume()


async def _tell_redis(audit: Audit, *command: str) -> None:
    async with Redis.from_url(audit.stack.redis_url) as redis:
        await redis.execute_command(*command)  # type: ignore[no-untyped-call]


SCENARIOS = [break_everything_at_random, break_everything_for_restricted_subjects]
