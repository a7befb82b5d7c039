"""Redis loses data, hangs, is full, is cut off, or is gone: it is disposable, and no client resyncs."""

import asyncio
import shutil
from collections import Counter
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.common.stream_spec import ORDERS
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from services.redis.schema import StreamKeys
from services.watcher.publisher import LEAST_EVENTS
from tests.faults.audit import Audit
from tests.faults.scenario import scenario
from tests.faults.small_disk import fill, mounts_missing
from tests.faults.stack import Shape
from tests.waiting import HANGS

RESTART = 2.0
_LOG = StreamKeys.of(ORDERS.name).log
_DURABLE = Shape(durable=True)


@scenario("R5", shape=Shape(jwt=True))
async def flush_redis(audit: Audit) -> None:
    """FLUSHALL, DEL of the log alone, DEL of the head alone: rebuilt with the same IDs."""
    async with Redis.from_url(audit.stack.redis_url) as redis:
        for command in (["FLUSHALL"], ["DEL", "{orders}:log"], ["DEL", "{orders}:head"], ["FLUSHALL"]):
            await redis.execute_command(*command)  # type: ignore[no-untyped-call]
            audit.injected()
            await audit.expect_recovery(" ".join(command), within=RESTART)
            await audit.run_for(1.5)


@scenario("R1")
async def restart_redis(audit: Audit) -> None:
    """SIGTERM and start without persistence, twice: the log is empty, and is rebuilt from the oplog."""
    for _ in range(2):
        await audit.stack.valkey.restart()
        audit.injected()
        await audit.expect_recovery("start", within=RESTART)
        await audit.run_for(1.5)


@scenario("R1")
async def kill_redis(audit: Audit) -> None:
    """SIGKILL of a Redis without persistence, down for 3 s."""
    for _ in range(2):
        await audit.stack.valkey.kill()
        audit.injected()
        await audit.run_for(3)
        await audit.stack.valkey.start()
        await audit.expect_recovery("start", within=RESTART)
        await audit.run_for(1)


@scenario("R2", shape=_DURABLE)
async def kill_durable_redis(audit: Audit) -> None:
    """SIGKILL of a Redis with an append-only file: it comes back with its log."""
    for _ in range(2):
        await audit.stack.valkey.kill()
        audit.injected()
        await audit.stack.valkey.start()
        await audit.expect_recovery("start", within=RESTART)
        await audit.run_for(1.5)


@scenario("R3", shape=_DURABLE)
async def lose_the_tail_of_redis(audit: Audit) -> None:
    """Redis comes back with an append-only file that is 3 s old: the log's tail is rewritten, with the same IDs."""
    valkey = audit.stack.valkey
    saved = audit.stack.folder / "older"
    await asyncio.to_thread(shutil.copytree, valkey.folder / "appendonlydir", saved)
    await audit.run_for(3)
    await valkey.kill()
    await asyncio.to_thread(shutil.rmtree, valkey.folder / "appendonlydir")
    await asyncio.to_thread(shutil.copytree, saved, valkey.folder / "appendonlydir")
    await valkey.start()
    audit.injected()
    await audit.expect_recovery("start with an older log", within=RESTART)
    await audit.run_for(2)


@scenario("R4", shape=Shape(cable=True))
async def fail_over_to_a_lagging_replica(audit: Audit) -> None:
    """The replica's link is cut, 2 s later the primary is killed and the replica takes its place, without the tail."""
    stack = audit.stack
    assert stack.cable is not None
    port = free_port()
    arguments = ["--replicaof", "127.0.0.1", str(stack.valkey.port)]
    replica = Valkey(folder=stack.folder / "replica", port=port, arguments=arguments)
    await stack.also(replica)
    async with Redis.from_url(replica.uri()) as redis:
        async with asyncio.timeout(HANGS):
            while (await redis.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110 - it does not tell
                await asyncio.sleep(0.05)
        await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        await audit.run_for(2)
        await stack.valkey.kill()
        stack.cable.plug(port)
        audit.injected(2)
        await audit.expect_recovery("failover", within=RESTART)
        await audit.run_for(2)


@scenario("R8")
async def freeze_redis(audit: Audit) -> None:
    """SIGSTOP for 7 s, longer than every timeout, then CLIENT PAUSE: a batch that was sent twice is there once."""
    audit.stack.valkey.pause()
    audit.injected()
    await audit.run_for(7)
    audit.stack.valkey.resume()
    await audit.expect_recovery("SIGCONT", within=3.0)
    async with Redis.from_url(audit.stack.redis_url) as redis:
        await redis.execute_command("CLIENT", "PAUSE", "3000", "ALL")  # type: ignore[no-untyped-call]
        audit.injected()
        await audit.run_for(3)
        await audit.expect_recovery("end of CLIENT PAUSE", within=3.0)


@scenario("R7 R12")
async def cut_connections_to_redis(audit: Audit) -> None:
    """CLIENT KILL of all subscribers and of all others each 100 ms, with SCRIPT FLUSH, for 6 s."""
    async with Redis.from_url(audit.stack.redis_url) as redis:
        for turn in range(60):
            kind = "pubsub" if turn % 2 else "normal"
            await redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")  # type: ignore[no-untyped-call]
            if turn % 5 == 0:
                await redis.script_flush()
            audit.injected()
            await audit.run_for(0.1)
    await audit.expect_recovery("the last cut", within=2.0)


@scenario("R9")
async def fill_the_memory_of_redis(audit: Audit) -> None:
    """Redis is full of other data for 4 s: trimming does not help, the watcher waits, nothing is half-written."""
    async with Redis.from_url(audit.stack.redis_url) as redis:
        for _ in range(2):
            await redis.config_set("maxmemory", "1mb")
            audit.injected()
            await audit.run_for(4)
            await redis.config_set("maxmemory", "0")
            await audit.expect_recovery("memory is free again", within=6.0)


@scenario("R9")
async def trim_the_log_of_a_full_redis(audit: Audit) -> None:
    """Three times Redis has too little room for the log: the watcher trims it and publishes on, and no one notices."""
    async with Redis.from_url(audit.stack.redis_url) as redis:
        for _ in range(3):

            async def is_worth_trimming() -> bool:
                return await redis.xlen(_LOG) > 10 * LEAST_EVENTS

            # Else what Redis buffers for its clients, now more and now less, would be more than trimming can free.
            await audit.until(is_worth_trimming, "the log is long enough to be trimmed", patience=40)
            log = await redis.memory_usage(_LOG, samples=0) or 0
            used = int((await redis.info("memory"))["used_memory"])
            await redis.config_set("maxmemory", str(used - log // 4))
            audit.injected()
            await audit.expect_recovery("a full Redis", within=RESTART)
            await audit.run_for(1)
            await redis.config_set("maxmemory", "0")
    leader = await audit.stack.leader()
    if not await leader.metric('orders_watcher_log_trims_total{reason="memory"}'):
        audit.report("the log was not trimmed")
    if "redis failed" in leader.output:
        audit.report("the watcher could not publish")


@scenario("R8")
async def serve_rest_while_redis_is_frozen(audit: Audit) -> None:
    """SIGSTOP for 6 s: each gateway stays ready for REST, and answers; it is not ready for streams."""
    gateways = audit.stack.gateways
    audit.stack.valkey.pause()
    audit.injected()

    async def none_takes_streams() -> bool:
        return {await gateway.status("/readyz/stream") for gateway in gateways} == {503}

    async def all_take_streams() -> bool:
        return {await gateway.status("/readyz/stream") for gateway in gateways} == {200}

    await audit.until(none_takes_streams, "no gateway is ready for streams")
    answers = Counter[int | None]()
    for _ in range(30):
        for gateway in gateways:
            answers[await gateway.status("/readyz")] += 1
            answers[await gateway.status("/api/orders?limit=5")] += 1
        await audit.run_for(0.1)
    if set(answers) != {200}:
        audit.report(f"REST suffered: {dict(answers)}")
    audit.stack.valkey.resume()
    await audit.until(all_take_streams, "all gateways are ready for streams")
    await audit.expect_recovery("SIGCONT", within=3.0)


@scenario("R10", shape=Shape(durable=True, valkey_disk=24), missing=mounts_missing)
async def fill_the_disk_of_redis(audit: Audit) -> None:
    """The disk of the append-only file is full for 5 s."""
    ballast = await asyncio.to_thread(fill, audit.stack.valkey.folder)
    audit.injected()
    await audit.run_for(5)
    await asyncio.to_thread(ballast.unlink)
    await audit.expect_recovery("space is free again", within=8.0)
    await audit.run_for(1)


@scenario("R6 R11", shape=Shape(settings={"LOG_MAX_EVENTS": "100", "RING_EVENTS": "500"}))
async def trim_the_log_under_a_frozen_gateway(audit: Audit) -> None:
    """A gateway is frozen for 5 s and cut off the channel while the log is trimmed to 100: it reads the gap from the
    oplog, or its clients resync."""
    audit.expected.allowed_resyncs.add("history_lost")
    gateway = audit.stack.gateways[0]
    async with Redis.from_url(audit.stack.redis_url) as redis:
        for _ in range(2):
            gateway.pause()
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
            audit.injected(2)
            await audit.run_for(5)
            gateway.resume()
            await audit.expect_recovery("SIGCONT", within=5.0)
            await audit.run_for(1)


@scenario("R6")
async def overflow_a_subscriber(audit: Audit) -> None:
    """A gateway is frozen while 80 MB pass through the channel: Redis cuts it off, and it fills the gap."""
    gateway = audit.stack.gateways[0]
    async with Redis.from_url(audit.stack.redis_url) as redis:
        await redis.config_set("client-output-buffer-limit", "pubsub 8mb 4mb 5")
        gateway.pause()
        audit.injected()
        filler = b'{"epoch":"0","prev":"0-0","events":[],"images":[],"filler":"' + b"x" * (1 << 20) + b'"}'
        for _ in range(80):
            with suppress(RedisError):
                await redis.publish("{orders}:events", filler)
            await audit.run_for(0.05)
        gateway.resume()
        await audit.expect_recovery("SIGCONT", within=5.0)
        await audit.run_for(1)


SCENARIOS = [
    flush_redis,
    restart_redis,
    kill_redis,
    kill_durable_redis,
    lose_the_tail_of_redis,
    fail_over_to_a_lagging_replica,
    freeze_redis,
    cut_connections_to_redis,
    fill_the_memory_of_redis,
    trim_the_log_of_a_full_redis,
    serve_rest_while_redis_is_frozen,
    fill_the_disk_of_redis,
    trim_the_log_under_a_frozen_gateway,
    overflow_a_subscriber,
]
