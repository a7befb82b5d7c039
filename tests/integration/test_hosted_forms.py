"""MongoDB and Redis as they are hosted: Sentinel with a failover, a cluster whose slot moves, TLS, `mongodb+srv`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.common.settings import MongoUri
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from services.redis.client import redis_client
from services.redis.schema import StreamKeys
from tests.certificates import Certificates, make_certificates
from tests.conftest import OwnMongod, OwnValkey, RunService
from tests.deploy.audience import Audience, audience
from tests.deploy.orders import create
from tests.valkey_forms import Cluster, Sentinel, command, tls_in_front_of
from tests.waiting import HANGS, until

KEY = StreamKeys.of("orders").log
CROWD = {"websocket": ["websocket"], "sse": ["sse"]}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def serving(run_service: RunService, mongodb_uri: str, redis_url: str) -> AsyncIterator[tuple[str, Audience]]:
    """Run a watcher and a gateway on these, and listen to them."""
    settings = {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    await run_service("watcher", settings)
    gateway = await run_service("gateway", settings)
    async with audience(gateway.url, CROWD) as crowd:
        yield gateway.url, crowd


async def make_orders(url: str, count: int) -> list[str]:
    async with aiohttp.ClientSession() as session:
        return [await create(session, url, number) for number in range(count)]


async def test_a_cluster_serves_and_its_slot_may_move(
    own_valkey: OwnValkey, run_service: RunService, mongodb_uri: str
) -> None:
    buses = [free_port() for _ in range(3)]
    cluster = Cluster([await own_valkey(*Cluster.arguments(bus)) for bus in buses], buses[0])
    await cluster.form()
    async with serving(run_service, mongodb_uri, cluster.url) as (url, crowd):
        orders = await make_orders(url, 3)
        await crowd.until_all_have(orders)
        await cluster.move(key_slot(KEY.encode()))
        orders += await make_orders(url, 3)
        await crowd.until_all_have(orders)
        assert crowd.faults(orders) == []


async def test_the_replica_that_sentinel_promotes_is_used(
    own_valkey: OwnValkey, run_service: RunService, mongodb_uri: str, tmp_path: Path
) -> None:
    primary = await own_valkey()
    replica = await own_valkey("--replicaof", "127.0.0.1", str(primary.port))
    async with AsyncExitStack() as stack:
        sentinel = await stack.enter_async_context(Sentinel.watching(primary, tmp_path / "sentinel"))
        await until(sentinel.knows_a_replica, "Sentinel knows the replica")
        url, crowd = await stack.enter_async_context(serving(run_service, mongodb_uri, sentinel.url))
        orders = await make_orders(url, 3)
        await crowd.until_all_have(orders)
        await primary.kill()
        orders += await make_orders(url, 3)
        await crowd.until_all_have(orders)
        assert crowd.faults(orders) == []
        assert await command(replica, "XLEN", KEY) >= 3


@pytest.mark.parametrize("form", ["rediss://127.0.0.1:{port}/0", "rediss+sentinel://127.0.0.1:{port}/orders"])
async def test_redis_is_reached_over_tls_and_a_stranger_is_not_believed(
    form: str, own_valkey: OwnValkey, tmp_path: Path, certificates: Certificates
) -> None:
    server: Valkey = await own_valkey()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(tls_in_front_of(server, certificates))
        if "sentinel" in form:
            # It announces the port without TLS, as a carelessly configured Sentinel would.
            sentinel = await stack.enter_async_context(Sentinel.watching(server, tmp_path / "sentinel"))
            port = await stack.enter_async_context(tls_in_front_of(sentinel, certificates))
        url = form.format(port=port)
        patience = 1 if "sentinel" in form else HANGS  # behind Sentinel it waits in vain
        trusting: Redis = await stack.enter_async_context(
            redis_client(f"{url}?ssl_ca_certs={certificates.authority}", KEY, socket_connect_timeout=patience)
        )
        stranger: Redis = await stack.enter_async_context(redis_client(url, KEY, socket_connect_timeout=HANGS))
        if "sentinel" in form:
            with pytest.raises(RedisTimeoutError):  # found by TLS, and not spoken to without
                await trusting.ping()
        else:
            assert await trusting.ping()
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.ping()


async def test_both_services_work_over_tls(
    own_mongod: OwnMongod, own_valkey: OwnValkey, run_service: RunService, certificates: Certificates
) -> None:
    mongod = await own_mongod("--tlsMode", "allowTLS", "--tlsCertificateKeyFile", str(certificates.both))
    mongodb_uri = f"{mongod.uri('orders')}&tls=true&tlsCAFile={certificates.authority}"
    async with tls_in_front_of(await own_valkey(), certificates) as port:
        redis_url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.authority}"
        async with serving(run_service, mongodb_uri, redis_url) as (url, crowd):
            orders = await make_orders(url, 3)
            await crowd.until_all_have(orders)
            assert crowd.faults(orders) == []


def test_a_mongodb_srv_uri_is_taken() -> None:
    uri = "mongodb+srv://watcher:secret@cluster0.example.mongodb.net/realtime_orders?retryWrites=true"
    assert TypeAdapter(MongoUri).validate_python(uri) == uri
