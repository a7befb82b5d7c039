"""The real causes of the alerts: each makes some of them fire, and lets them stop again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.alerts import front
from tests.alerts.scene import (
    PLACES,
    Scene,
    asked,
    deaf_streams,
    mostly_frozen,
    resume_from,
    streams,
    writing,
)
from tests.faults.oplog import write_over
from tests.waiting import meanwhile

Cause = Callable[[Scene], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """Within the context of ``cause`` all these ``alerts`` fire, and afterwards they stop.

    ``needs``: a metric without which it cannot be run.
    """

    alerts: tuple[str, ...]
    what: str
    cause: Cause
    needs: str | None = None
    longest: float = 90.0

    @property
    def name(self) -> str:
        return self.cause.__name__


FAULTS: list[Fault] = []


def fault(
    *alerts: str, what: str, needs: str | None = None, longest: float = 90.0
) -> Callable[[Callable[[Scene], AsyncIterator[None]]], Cause]:
    """Register the decorated cause."""

    def register(cause: Callable[[Scene], AsyncIterator[None]]) -> Cause:
        made = asynccontextmanager(cause)
        FAULTS.append(Fault(alerts, what, made, needs, longest))
        return made

    return register


@fault("OrdersServiceDown", "OrdersNoStandby", what="SIGKILL of the standby watcher; it is started again")
async def kill_the_standby(scene: Scene) -> AsyncIterator[None]:
    leader = await scene.stack.leader()
    [standby] = [each for each in scene.stack.watchers if each is not leader]
    await standby.kill()
    yield
    await standby.start()


@fault("OrdersNoLeader", "OrdersStale", what="SIGKILL of both watchers; they are started again")
async def kill_both_watchers(scene: Scene) -> AsyncIterator[None]:
    await asyncio.gather(*(each.kill() for each in scene.stack.watchers))
    yield
    await scene.start_all()


@fault("OrdersResync", what="The collection `orders` is dropped; the alert stops when its range has passed")
async def drop_the_collection(scene: Scene) -> AsyncIterator[None]:
    await scene.orders.insert_one({"status": "pending"})
    await asyncio.sleep(1)
    await scene.orders.drop()
    yield


@fault("OrdersClientsLose", what="Fifteen clients come back with a cursor older than `REPLAY_MAX_AGE_SECONDS`")
async def come_back_too_late(scene: Scene) -> AsyncIterator[None]:
    gateway = scene.stack.gateways[0]
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/api/orders") as response:
        cursor = response.headers["Stream-Cursor"]
    for _ in range(3):  # more than the ring and the log in Redis hold
        await asyncio.sleep(1.5)
        await scene.orders.insert_many([{"status": "pending"} for _ in range(300)])
    await asyncio.sleep(1.5)
    await resume_from(gateway, cursor, 15)
    yield


@fault("OrdersNoGateway", "OrdersServiceDown", what="SIGKILL of all gateways, whose addresses leave the discovery")
async def lose_all_gateways(scene: Scene) -> AsyncIterator[None]:
    await asyncio.gather(*(each.kill() for each in scene.stack.gateways))
    scene.prometheus.find("gateway", [])
    yield
    await scene.start_all()
    scene.find_all()


@fault("OrdersStreamSilent", "OrdersDependencyDown", "OrdersStale", what="SIGSTOP of Valkey, then SIGCONT")
async def freeze_redis(scene: Scene) -> AsyncIterator[None]:
    scene.stack.valkey.pause()
    yield
    scene.stack.valkey.resume()


@fault("OrdersDependencyDown", "OrdersRequestsFail", what="SIGKILL of mongod while clients ask for orders")
async def kill_mongodb(scene: Scene) -> AsyncIterator[None]:
    async with meanwhile(asked(scene.stack.gateways[0].url, "/api/orders")):
        await scene.stack.members[0].kill()
        yield
        await scene.stack.members[0].start()
        await asyncio.sleep(3)


@fault(
    "OrdersLagging",
    "OrdersSlow",
    what="Valkey is frozen most of the time, while 100 orders a second are written",
)
async def slow_redis(scene: Scene) -> AsyncIterator[None]:
    async with mostly_frozen(scene.stack.valkey, 0.18, 0.004), writing(scene.orders, 100):
        yield


@fault("OrdersSlowClients", what="Clients open streams and read nothing, while large orders are written", longest=120)
async def read_nothing(scene: Scene) -> AsyncIterator[None]:
    async with meanwhile(deaf_streams(scene.stack.gateways[0], scene.orders)):
        yield


@fault("OrdersRefused", "OrdersNearlyFull", what="`MAX_CONNECTIONS` streams are open, and clients ask for more")
async def fill_a_gateway(scene: Scene) -> AsyncIterator[None]:
    url = scene.stack.gateways[0].url
    async with streams(url, PLACES), meanwhile(asked(url, "/api/orders/events")):
        yield


@fault(
    "OrdersOverloaded", what="mongod is frozen most of the time, while thirty clients ask for an order without a pause"
)
async def ask_more_than_mongodb_can(scene: Scene) -> AsyncIterator[None]:
    url = scene.stack.gateways[0].url
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(mostly_frozen(scene.stack.members[0], 0.6, 0.1))
        for _ in range(30):
            await stack.enter_async_context(meanwhile(asked(url, f"/api/orders/{'0' * 24}", pause=0.01)))
        yield


@fault("OrdersLoopLag", what="A gateway is stopped for 0.4 s of each half second")
async def starve_a_gateway(scene: Scene) -> AsyncIterator[None]:
    async with mostly_frozen(scene.stack.gateways[0], 0.4, 0.1):
        yield


@fault(
    "OrdersRedisFull",
    what="`maxmemory` is set to little more than Valkey uses, then to none",
    needs="orders_watcher_redis_memory_limit_bytes",
)
async def fill_redis(scene: Scene) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(scene.redis)
        used = int((await redis.info("memory"))["used_memory"])
        await redis.config_set("maxmemory", int(used * 1.05))
        yield
        await redis.config_set("maxmemory", 0)


@fault("OrdersOplogShort", what="The oplog is so small that other writes fill it; it is enlarged", longest=150)
async def shorten_the_oplog(scene: Scene) -> AsyncIterator[None]:
    await write_over(scene.stack.mongodb_uri)
    yield
    await scene.orders.database.client.admin.command({"replSetResizeOplog": 1, "size": 990.0})


@fault("OrdersServiceDown", what="HAProxy is stopped, and its address leaves the discovery; it is started again")
async def lose_the_front(scene: Scene) -> AsyncIterator[None]:
    await scene.front.stop()
    scene.prometheus.find("loadbalancer", [])
    yield
    await scene.front.start()
    scene.find_all()


@fault("OrdersFrontNoGateway", what="SIGSTOP of the gateways behind HAProxy, then SIGCONT")
async def freeze_all_gateways(scene: Scene) -> AsyncIterator[None]:
    for gateway in scene.stack.gateways:
        gateway.pause()
    yield
    for gateway in scene.stack.gateways:
        gateway.resume()


@fault("OrdersFrontNearlyFull", what="As many streams are open through HAProxy as its `maxconn` allows, less one")
async def fill_the_front(scene: Scene) -> AsyncIterator[None]:
    async with streams(scene.front.url, front.PLACES - 1):  # the last one is for Prometheus
        yield


@fault("OrdersFrontRefuses", what="One address sends HAProxy more requests than it takes from one")
async def flood_the_front(scene: Scene) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(meanwhile(asked(scene.front.url, "/api/orders?limit=1", pause=0.01)))
        yield


# For every run of the tests: a cause, and the one of its alerts to wait for.
QUICK = {
    "kill_the_standby": "OrdersServiceDown",
    "kill_both_watchers": "OrdersStale",
    "drop_the_collection": "OrdersResync",
    "come_back_too_late": "OrdersClientsLose",
}
