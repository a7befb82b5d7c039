"""The answers of the store and the API while MongoDB is frozen, dead, without a majority, or refuses."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)
from structlog.testing import capture_logs

from services.common.tasks import Tasks
from services.embedded.mongod import Mongod
from services.gateway.list_query import ListQuery
from services.gateway.orders import NewOrder, OrderChange
from services.gateway.store import OrderStore
from services.gateway.store_errors import OutcomeUnknown, StoreError, StoreFailed, StoreUnavailable
from services.gateway.store_faults import store_error
from tests.conftest import OwnMongod, OwnMongodSet
from tests.faults.cable import Cable
from tests.integration.rest_api import JOHN, Client, orders_at, serve, store_of
from tests.servers import SMALL_OPLOG
from tests.waiting import until, within

NEW = NewOrder.model_validate(JOHN)


def labelled(error: PyMongoError, label: str) -> PyMongoError:
    error._add_error_label(label)  # as the driver handles a server's reply; there is no public way
    return error


@pytest.mark.parametrize(
    ("error", "of_read", "of_write"),
    [
        (ServerSelectionTimeoutError("no primary"), StoreUnavailable, StoreUnavailable),
        (WaitQueueTimeoutError("pool"), StoreUnavailable, StoreUnavailable),
        (AutoReconnect("reset"), StoreUnavailable, OutcomeUnknown),
        (NetworkTimeout("silence"), StoreUnavailable, OutcomeUnknown),
        (ExecutionTimeout("maxTimeMS", 50), StoreUnavailable, OutcomeUnknown),
        (WTimeoutError("waiting for replication", 64), StoreUnavailable, OutcomeUnknown),
        (WriteConcernError("not enough members", 100), StoreUnavailable, OutcomeUnknown),
        (labelled(AutoReconnect("reset"), "NoWritesPerformed"), StoreUnavailable, StoreUnavailable),
        (OperationFailure("SnapshotUnavailable", 246), StoreUnavailable, OutcomeUnknown),
        (OperationFailure("not authorized", 13), StoreFailed, StoreFailed),
        (OperationFailure("no replica set", 20), StoreFailed, StoreFailed),
    ],
)
def test_each_driver_error_becomes_one_that_a_caller_can_act_on(
    error: PyMongoError, of_read: type[StoreError], of_write: type[StoreError]
) -> None:
    assert type(store_error(error, writing=False)) is of_read
    assert type(store_error(error, writing=True)) is of_write


def freeze(server: Mongod) -> None:
    """Stop the server, and return when it stands still: the signal takes its time where the processor is busy."""
    server.pause()
    if server.image() is not None:
        return  # Docker returns when the container stands still
    os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)


async def recovered(store: OrderStore) -> None:
    """Return when MongoDB answers; each question waits for it as long as the store's patience."""
    async with asyncio.timeout(30):
        while await store.check() != "ok":
            pass


@asynccontextmanager
async def api_on(server: Mongod, patience: float) -> AsyncIterator[tuple[Client, OrderStore]]:
    async with OrderStore.open(server.uri("orders"), patience=patience) as store, serve(store) as client:
        yield client, store


async def test_a_frozen_mongodb_is_answered_with_503_in_time_and_logged_once(own_mongod: OwnMongod) -> None:
    server = await own_mongod()
    with capture_logs() as lines:
        async with api_on(server, patience=0.5) as (client, store):
            assert (await client.post("/api/orders", json=JOHN)).status == 201
            freeze(server)
            try:
                async with within(5):
                    written = await client.post("/api/orders", json=JOHN)
                listed = []
                for _ in range(3):
                    async with within(5):
                        listed.append(await client.get("/api/orders"))
                assert (await client.get("/readyz")).status == 503
            finally:
                server.resume()

            problem = await written.json(content_type="application/problem+json")
            assert (written.status, problem["type"]) == (503, "urn:realtime-orders:problem:outcome-unknown")
            for reply in listed:
                problem = await reply.json(content_type="application/problem+json")
                assert (reply.status, problem["type"]) == (503, "urn:realtime-orders:problem:store-unavailable")
                assert reply.headers["Retry-After"] == "2"
            await recovered(store)
            assert (await client.get("/api/orders")).status == 200
            assert (await client.get("/readyz")).status == 200
    assert [line["log_level"] for line in lines] == ["warning", "info"]


async def test_a_mongodb_that_is_not_there_yet_is_found_when_it_comes(own_mongod: OwnMongod) -> None:
    server = await own_mongod()
    await server.stop()
    async with api_on(server, patience=1.5) as (client, store):
        refused = await client.post("/api/orders", json=JOHN)
        problem = await refused.json(content_type="application/problem+json")
        assert (refused.status, problem["type"]) == (503, "urn:realtime-orders:problem:store-unavailable")
        ready = await client.get("/readyz")
        assert ready.status == 503
        assert await ready.json() == {"status": "unready"}
        assert await store.check() == "MongoDB has no primary that answers"
        assert (await client.get("/healthz")).status == 200
        await server.start()

        await recovered(store)
        assert (await client.post("/api/orders", json=JOHN)).status == 201
        assert len((await store.page(ListQuery())).orders) == 1


async def test_the_return_of_mongodb_is_noticed_without_a_request(own_mongod: OwnMongod) -> None:
    server = await own_mongod()
    async with OrderStore.open(server.uri("orders"), patience=1) as store, Tasks() as tasks:
        tasks.keep("checking MongoDB", store.keep_checked())
        with capture_logs() as lines:
            await server.kill()
            with pytest.raises(StoreUnavailable):
                await store.page(ListQuery())
            assert not store.dependency.works()
            await server.start()
            await until(store.dependency.works, "its return is noticed")
        assert [line["event"] for line in lines] == [
            "MongoDB does not answer; REST is unavailable until it does",
            "MongoDB answers again",
        ]


async def test_checks_that_get_no_connection_and_a_slow_answer_are_no_outage(own_mongod: OwnMongod) -> None:
    server = await own_mongod(*SMALL_OPLOG, "--setParameter", "enableTestCommands=1")
    uri = f"{server.uri('orders')}{'&' if '?' in server.uri('orders') else '?'}maxPoolSize=1"
    async with OrderStore.open(uri, patience=20) as store, AsyncMongoClient[dict[str, Any]](server.uri()) as admin:
        assert await store.check() == "ok"
        slow = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 6_000}
        set_up = await admin.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": slow})
        held = {"waitForFailPoint": "failCommand", "timesEntered": set_up["count"] + 1, "maxTimeMS": 10_000}
        with capture_logs() as lines:
            reading = asyncio.create_task(store.database["orders"].find_one())
            await admin.admin.command(held)
            checks = 0
            while not reading.done():
                assert await store.check() == "ok"
                checks += 1
            await reading
            assert checks > 1, "they waited for the only connection"
        assert not lines


async def test_a_write_that_no_majority_confirms_is_not_acknowledged(own_mongod_set: OwnMongodSet) -> None:
    members = await own_mongod_set(3)
    primary = await members.primary()
    async with OrderStore.open(members.uri("orders"), patience=3) as store:
        await store.create(NEW)
        for other in members.members:
            if other is not primary:
                freeze(other)
        try:
            with pytest.raises(OutcomeUnknown):
                await store.create(NEW)
        finally:
            for other in members.members:
                if other is not primary:
                    other.resume()


@pytest.mark.parametrize("command", ["insert", "findAndModify"])
async def test_a_write_whose_write_concern_fails_is_retried_and_else_has_an_unknown_outcome(
    own_mongod: OwnMongod, command: str
) -> None:
    mongod = await own_mongod("--setParameter", "enableTestCommands=1")
    async with orders_at(mongod.uri("orders")) as orders:
        store = store_of(orders)
        order = str((await store.create(NEW)).order["_id"])

        def write() -> Awaitable[object]:
            return store.create(NEW) if command == "insert" else store.update(order, OrderChange(product_name="b"))

        # Not one of a change of state, after which the driver would wait for news of the server.
        failure = {"code": 6, "codeName": "HostUnreachable", "errmsg": "no majority", "errInfo": {}}
        data = {
            "failCommands": [command],
            "writeConcernError": failure,
            "errorLabels": ["RetryableWriteError"],
        }
        admin = orders.database.client.admin
        await admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        await write()
        await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        with pytest.raises(OutcomeUnknown):
            await write()
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def test_a_command_that_mongodb_refuses_is_logged_with_the_number_that_the_client_gets(
    mongodb_uri: str,
) -> None:
    async with orders_at(mongodb_uri) as orders:
        with capture_logs() as lines:
            async with serve(OrderStore(orders.database, "system.orders")) as client:
                reply = await client.post("/api/orders", json=JOHN)
                problem = await reply.json(content_type="application/problem+json")
    assert (reply.status, problem["type"]) == (500, "urn:realtime-orders:problem:internal-error")
    assert "system" not in str(problem)
    assert [line["incident"] for line in lines] == [problem["incident"]]


@pytest.mark.parametrize("uri", ["mongodb://", "mongodb://localhost:99999", "mongodb://user:p@ss@host/"])
async def test_a_wrong_address_is_refused_at_the_start(uri: str) -> None:
    with pytest.raises(ValueError, match="MONGODB_URI"):
        async with OrderStore.open(uri):
            pass


async def test_an_address_without_a_database_means_realtime_orders(session_servers: Any) -> None:
    async with OrderStore.open(session_servers.mongodb_uri) as store:
        assert store._database.name == "realtime_orders"  # there is no other sign of it that leaves the data alone


async def test_a_write_with_a_key_whose_outcome_is_unknown_is_found_out_by_repeating_it(own_mongod: OwnMongod) -> None:
    mongod = await own_mongod("--setParameter", "enableTestCommands=1")
    async with api_on(mongod, patience=1.0) as (client, store):
        orders, admin = store.database["orders"], store.database.client.admin

        async def ask(key: str) -> tuple[int, Any]:
            async with client.post("/api/orders", json=JOHN, headers={"Idempotency-Key": key}) as reply:
                return reply.status, await reply.json(content_type=None)

        cases: list[tuple[str, dict[str, Any], str | None]] = [
            ("insert", {"closeConnection": True}, "store-unavailable"),
            ("commitTransaction", {"closeConnection": True}, "outcome-unknown"),
            ("commitTransaction", {"errorCode": 50}, "outcome-unknown"),  # no time is left
            ("commitTransaction", {"writeConcernError": {"code": 64, "errmsg": "no majority"}}, None),  # it was done
        ]  # fmt: skip
        for number, (command, failure, kind) in enumerate(cases):
            data = {"failCommands": [command], **failure}
            await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
            first = await ask(f"key-{number}")
            assert first[0] == (503 if kind else 201)
            assert kind is None or first[1]["type"].rpartition(":")[2] == kind
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            made = await ask(f"key-{number}")
            assert made[0] == 201
            assert kind is not None or made == first
            assert await ask(f"key-{number}") == made
            assert await orders.count_documents({}) == number + 1


def of_a_changing_member(hello: bytes) -> bytes:
    """Return a member's reply to `hello` as it is at the beginning of a step-down: neither primary nor secondary."""
    for name in (b"\x08isWritablePrimary\0", b"\x08ismaster\0"):
        hello = hello.replace(name + b"\1", name + b"\0")
    return hello


async def test_connections_opened_while_a_member_changes_its_state_are_replaced(own_mongod: OwnMongod) -> None:
    server = await own_mongod()
    port = int(server.host.rpartition(":")[2])
    async with Cable(port) as cable:
        uri = f"mongodb://127.0.0.1:{cable.port}/orders?directConnection=true"
        async with OrderStore.open(uri, patience=5.0) as store, serve(store) as client:
            made = await (await client.post("/api/orders", json=JOHN)).json()
            path = f"/api/orders/{made['_id']}"

            async def ask(kind: str) -> int:
                headers = {"Idempotency-Key": os.urandom(8).hex()} if kind == "POST with a key" else {}
                method = kind.split(maxsplit=1)[0]
                where = "/api/orders" if kind.endswith("a key") or kind == "GET all" else path
                body = None if method == "GET" else JOHN
                async with client.request(method, where, json=body, headers=headers) as reply:
                    assert reply.status in {200, 201, 503}, await reply.text()
                    return reply.status

            async def ask_all() -> set[int]:
                kinds = ["POST without a key", "POST with a key", "PATCH", "PUT", "GET all", "GET"]
                return {*await asyncio.gather(*(ask(kind) for kind in kinds * 4))}

            cable.greeting = of_a_changing_member
            async with asyncio.timeout(30):
                while 503 not in await ask_all():  # until one of them needs a new connection
                    pass
            cable.greeting = None
            async with asyncio.timeout(30):
                while 503 in await ask_all():  # until each such connection was met, and so replaced
                    pass
