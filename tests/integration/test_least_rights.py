"""The users that compose.yaml makes: with their rights both services work, and can do nothing else."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError

from services.commands.make_secrets import valkey_users
from services.commands.provision_mongodb import ProvisionError, ProvisionSettings, provision
from services.commands.reload_valkey import ReloadError, reload
from services.commands.setup_db import setup
from services.embedded.mongod import Mongod
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from services.redis.schema import StreamKeys
from tests.access.revocations import ROUTE, ask, revoke
from tests.access.tokens import SETTINGS as TOKENS
from tests.access.tokens import token
from tests.access.viewers import viewer
from tests.conftest import OwnValkey, RunService
from tests.deploy.audience import audience
from tests.deploy.orders import create
from tests.servers import SMALL_OPLOG
from tests.waiting import within

KEYS = StreamKeys.of("orders")


class Guarded:
    """A mongod and a Valkey that let in only whom they know."""

    def __init__(self, mongod: Mongod, valkey: Valkey, users: Path) -> None:
        self.mongod = mongod
        self.valkey = valkey
        self.users = users

    @property
    def settings(self) -> ProvisionSettings:
        return ProvisionSettings(
            admin_password=SecretStr("admin"),
            watcher_password=SecretStr("watcher"),
            gateway_password=SecretStr("gateway"),
            mongodb_member=self.mongod.host,
            mongodb_local_port=self.mongod.port,
            valkey_address=f"127.0.0.1:{self.valkey.port}",
        )

    async def let_in(self, **passwords: str) -> list[str]:
        """Make both databases know these passwords, as the set-up does; return its steps."""
        known = {"watcher": "watcher", "gateway": "gateway", "admin": "admin", **passwords}
        self.users.write_text(valkey_users(**known))
        changed = {f"{name}_password": SecretStr(password) for name, password in known.items()}
        settings = self.settings.model_copy(update=changed)
        return await asyncio.to_thread(lambda: [*provision(settings), *reload(settings)])

    async def lets_in(self, user: str, password: str) -> tuple[bool, bool]:
        """Whether MongoDB and Valkey let this user in."""
        uri = f"mongodb://{user}:{password}@{self.mongod.host}/?replicaSet=rs0&authSource=admin"
        mongodb = valkey = True
        try:
            async with AsyncMongoClient[dict[str, object]](uri) as client:
                await client.admin.command("ping")
        except OperationFailure:
            mongodb = False
        try:
            known = "operator" if user == "admin" else user
            once = Retry(NoBackoff(), 0)  # by itself it tries a wrong password again, for seconds
            async with Redis(port=self.valkey.port, username=known, password=password, retry=once) as redis:
                await redis.ping()
        except AuthenticationError:
            valkey = False
        return mongodb, valkey

    def mongodb_uri(self, user: str) -> str:
        return f"mongodb://{user}:{user}@{self.mongod.host}/realtime_orders?replicaSet=rs0&authSource=admin"

    def redis_url(self, user: str) -> str:
        return f"redis://{user}:{user}@127.0.0.1:{self.valkey.port}/0"

    def uris(self, user: str) -> dict[str, str]:
        return {"MONGODB_URI": self.mongodb_uri(user), "REDIS_URL": self.redis_url(user)}


@pytest.fixture
async def guarded(tmp_path: Path, own_valkey: OwnValkey) -> AsyncIterator[Guarded]:
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(100))
    key.chmod(0o600)
    arguments = (*SMALL_OPLOG, "--keyFile", str(key))
    async with AsyncExitStack() as stack:
        mongod = Mongod(folder=tmp_path / "mongod", port=free_port(), alone=False, arguments=arguments)
        stack.push_async_callback(mongod.kill)  # as in `own_mongod`
        await mongod.start()
        users = tmp_path / "users.acl"
        users.write_text(valkey_users("watcher", "gateway", "admin"))
        guarded = Guarded(mongod, await own_valkey("--aclfile", str(users)), users)
        await asyncio.to_thread(lambda: [*provision(guarded.settings), *setup(guarded.mongodb_uri("admin"))])
        yield guarded


async def test_both_services_work_with_the_rights_of_their_users(guarded: Guarded, run_service: RunService) -> None:
    watcher = await run_service("watcher", guarded.uris("watcher"))
    gateway = await run_service("gateway", guarded.uris("gateway"))
    assert "secret of the session ids cannot be read" not in gateway.output
    async with (
        audience(gateway.url, {"websocket": ["websocket"], "sse": ["sse"]}) as crowd,
        aiohttp.ClientSession() as session,
    ):
        orders = [await create(session, gateway.url, number) for number in range(3)]
        # A repeated write finds its answer, and reads its place in the stream from the oplog.
        body = {"customer_name": "a", "product_name": "b"}
        told = []
        for _ in range(2):
            key = {"Idempotency-Key": "one"}
            async with session.post(f"{gateway.url}/api/orders", json=body, headers=key) as reply:
                told.append((await reply.json(), reply.headers["Stream-Cursor"]))
        assert told[0] == told[1]
        orders.append(told[0][0]["_id"])
        await crowd.until_all_have(orders)
        # A cursor that Redis no longer holds has the gateway read the oplog, which takes rights of its own.
        cursor = crowd.heard["sse"].changes[0][1]
        async with Redis.from_url(guarded.redis_url("watcher")) as redis:
            await redis.delete(KEYS.log, KEYS.head)
        orders.append(await create(session, gateway.url, 3))
        await crowd.until_all_have(orders)
        assert crowd.faults(orders) == []
        async with session.get(f"{gateway.url}/api/orders/events?since={cursor}") as response:
            text = (await response.content.readuntil(orders[1].encode())).decode()
            assert "event: resync" not in text
    assert await watcher.metric("orders_watcher_redis_memory_bytes") > 0


async def test_a_gateway_may_revoke_and_tell_the_others(guarded: Guarded, run_service: RunService) -> None:
    await run_service("watcher", guarded.uris("watcher"))
    first, second = [await run_service("gateway", {**guarded.uris("gateway"), **TOKENS}) for _ in range(2)]
    text = token("eve", rights="*")
    async with viewer(second.url, "websocket", text) as shown, within(1):
        made = await revoke(first.url, subject="eve")
        await shown.has("ended")
    status, _ = await ask(first.url, "DELETE", f"{ROUTE}/{made['id']}")
    assert status == 200
    for gateway in (first, second):
        assert "evocations over redis failed" not in gateway.output
        assert "does not announce" not in gateway.output


async def test_neither_user_can_act_beyond_its_rights(guarded: Guarded) -> None:
    for user, collection in (
        ("watcher", "orders"),
        ("watcher", "gateway_secrets"),
        ("gateway", "gateway_secrets"),
        ("gateway", "idempotency_keys"),
        ("gateway", "revocations"),
        ("gateway", "stream_state"),
        ("gateway", "other"),
    ):
        async with AsyncMongoClient[dict[str, object]](guarded.mongodb_uri(user)) as client:
            with pytest.raises(OperationFailure, match="not authorized"):
                await client["realtime_orders"][collection].delete_many({})
            with pytest.raises(OperationFailure, match="Insufficient permissions"):
                await client.admin.command("listDatabases", authorizedDatabases=False)
    async with Redis.from_url(guarded.redis_url("gateway")) as redis:
        for write in (
            redis.xadd(KEYS.log, {"e": "forged"}),
            redis.publish(KEYS.channel, "forged"),
            redis.eval("return 1", 0),
            redis.set(KEYS.head, "forged"),
            redis.getdel(KEYS.log),
            redis.get("something else"),
            redis.flushall(),
        ):
            with pytest.raises(NoPermissionError):
                await write
        assert await redis.publish(KEYS.revocations, "") == 0
        assert await redis.set(KEYS.ticket("one"), "1", ex=30, nx=True)
        assert await redis.getdel(KEYS.ticket("one")) == b"1"
    async with Redis.from_url(guarded.redis_url("watcher")) as redis:
        for other in (
            redis.set("something else", "1"),
            redis.publish(KEYS.revocations, ""),
            redis.flushall(),
            redis.config_get("*"),
        ):
            with pytest.raises(NoPermissionError):
                await other


async def test_operators_see_figures_and_no_data(guarded: Guarded) -> None:
    url = guarded.redis_url("watcher").replace("//watcher:watcher@", "//operator:admin@")
    async with Redis.from_url(guarded.redis_url("watcher")) as redis:
        await redis.xadd(KEYS.log, {"e": "an order"})
    async with Redis.from_url(url) as redis:
        assert int((await redis.info("memory"))["used_memory"]) > 0
        assert await redis.slowlog_get() is not None
        assert {client["user"] for client in await redis.client_list()} >= {"operator"}
        assert await redis.xlen(KEYS.log) == 1
        assert await redis.memory_usage(KEYS.log) is not None
        await redis.execute_command("LATENCY", "LATEST")  # type: ignore[no-untyped-call]
        await redis.execute_command("MEMORY", "STATS")  # type: ignore[no-untyped-call]
        assert await redis.acl_load()
        for other in (
            redis.xrange(KEYS.log),
            redis.hgetall(KEYS.head),
            redis.xtrim(KEYS.log, maxlen=0),
            redis.config_get("*"),
            redis.config_set("maxmemory", "1"),
            redis.acl_list(),
            redis.client_kill("127.0.0.1:1"),
            redis.flushall(),
            redis.shutdown(),
        ):
            with pytest.raises(NoPermissionError):
                await other


async def test_an_unknown_user_is_not_let_in(guarded: Guarded) -> None:
    async with AsyncMongoClient[dict[str, object]](guarded.mongod.uri("realtime_orders")) as client:
        with pytest.raises(OperationFailure, match="requires authentication"):
            await client["realtime_orders"]["orders"].find_one()
    async with Redis.from_url(guarded.valkey.uri()) as redis:
        assert await redis.ping()
        with pytest.raises(NoPermissionError):
            await redis.hgetall(KEYS.head)


async def test_to_provision_again_changes_passwords_and_nothing_else(guarded: Guarded) -> None:
    steps = await asyncio.to_thread(lambda: [*provision(guarded.settings)])
    assert steps == [
        "MongoDB is a replica set already",
        "The user admin exists already",
        "Updated the user watcher",
        "Updated the user gateway",
    ]
    renewed = guarded.settings.model_copy(update={"gateway_password": SecretStr("new")})
    await asyncio.to_thread(lambda: [*provision(renewed)])
    with pytest.raises(OperationFailure, match="Authentication failed"):
        async with AsyncMongoClient[dict[str, object]](guarded.mongodb_uri("gateway")) as client:
            await client.admin.command("ping")
    wrong = guarded.settings.model_copy(update={"admin_password": SecretStr("wrong")})
    with pytest.raises(ProvisionError, match="ADMIN_PASSWORD"):
        await asyncio.to_thread(lambda: [*provision(wrong)])


async def test_two_logins_of_a_service_are_valid_until_the_first_is_withdrawn(guarded: Guarded) -> None:
    both = (True, True)
    steps = await guarded.let_in(gateway="gateway-2:new,gateway")
    assert "Created the user gateway-2" in steps
    assert await guarded.lets_in("gateway", "gateway") == both
    assert await guarded.lets_in("gateway-2", "new") == both
    async with Redis(port=guarded.valkey.port, username="gateway-2", password="new") as redis:
        await redis.hgetall(KEYS.head)  # with the same rights
        with pytest.raises(NoPermissionError):
            await redis.publish(KEYS.channel, "forged")
    steps = await guarded.let_in(gateway="gateway-2:new")
    assert "Dropped the user gateway" in steps
    assert await guarded.lets_in("gateway", "gateway") == (False, False)
    assert await guarded.lets_in("gateway-2", "new") == both
    await guarded.let_in(gateway="newer,gateway-2:new")
    await guarded.let_in(gateway="newer")
    assert await guarded.lets_in("gateway-2", "new") == (False, False)
    assert await guarded.lets_in("gateway", "newer") == both


async def test_connections_of_users_that_stay_survive_a_rotation(guarded: Guarded) -> None:
    async with (
        Redis.from_url(guarded.redis_url("watcher"), single_connection_client=True) as redis,
        AsyncMongoClient[dict[str, object]](guarded.mongodb_uri("watcher"), maxPoolSize=1) as client,
    ):
        connection = await redis.client_id()
        await client["realtime_orders"]["orders"].find_one()
        await guarded.let_in(gateway="gateway-2:new,gateway")
        await guarded.let_in(gateway="gateway-2:new")
        assert await redis.client_id() == connection
        await client["realtime_orders"]["orders"].find_one()


async def test_the_administrators_password_is_replaced_and_an_interrupted_replacement_goes_on(
    guarded: Guarded,
) -> None:
    assert "Replaced the password of the user admin" in await guarded.let_in(admin="new,admin")
    assert await guarded.lets_in("admin", "new") == (True, True)
    assert await guarded.lets_in("admin", "admin") == (False, True)
    assert "Replaced the password of the user admin" not in await guarded.let_in(admin="new,admin")
    await guarded.let_in(admin="new")
    assert await guarded.lets_in("admin", "admin") == (False, False)
    with pytest.raises(ProvisionError, match="ADMIN_PASSWORD"):
        await guarded.let_in(admin="wrong,admin")


async def test_a_valkey_without_the_user_for_it_says_what_to_do(guarded: Guarded) -> None:
    wrong = guarded.settings.model_copy(update={"admin_password": SecretStr("other")})
    with pytest.raises(ReloadError, match="restart it once"):
        await asyncio.to_thread(lambda: [*reload(wrong)])
