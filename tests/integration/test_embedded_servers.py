"""The embedded servers: real ones, that can be killed, frozen, moved and started again."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.embedded.errors import EmbeddedError
from services.embedded.mongod import Mongod
from services.embedded.valkey import Valkey
from tests.conftest import OwnMongod, OwnMongodSet, OwnValkey
from tests.listening import listening


async def test_orders_survive_a_kill_of_mongod(own_mongod: OwnMongod) -> None:
    server = await own_mongod()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(server.uri("shop"))
    async with client:
        await client.shop.orders.insert_one({"_id": 1})
        await server.kill()
        assert not server.running
        await server.start()
        assert await client.shop.orders.find_one() == {"_id": 1}


async def test_change_streams_work_on_a_set_of_one(mongodb_uri: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        database = client.get_default_database()
        async with await database.orders.watch() as stream:
            await database.orders.insert_one({"_id": 1})
            assert (await anext(stream))["documentKey"] == {"_id": 1}


async def test_a_set_follows_its_data_to_another_port(own_mongod: OwnMongod, free_port: Callable[[], int]) -> None:
    server = await own_mongod()
    await server.stop()
    server.port = free_port()
    await server.start()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(server.uri("shop"))
    async with client:
        await client.shop.orders.insert_one({})


async def test_a_set_of_three_elects_another_primary(own_mongod_set: OwnMongodSet) -> None:
    members = await own_mongod_set(3)
    first = await members.primary()
    await first.kill()
    second = await members.primary()
    assert second is not first
    await first.start()
    assert first.running


async def test_a_durable_valkey_keeps_its_keys_over_a_kill(own_valkey: OwnValkey) -> None:
    server = await own_valkey(durable=True)
    async with Redis.from_url(server.uri()) as client:
        await client.set("key", "value")
    await server.kill()
    await server.start()
    async with Redis.from_url(server.uri()) as client:
        assert await client.get("key") == b"value"


async def test_a_valkey_for_tests_forgets_everything_with_its_process(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as client:
        await client.set("key", "value")
    await server.restart()
    async with Redis.from_url(server.uri()) as client:
        assert await client.get("key") is None


async def test_a_paused_server_holds_its_answers_until_it_is_resumed(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as client:
        server.pause()
        answer: asyncio.Future[bool] = asyncio.ensure_future(client.ping())
        await asyncio.wait([answer], timeout=0.2)
        assert not answer.done()
        server.resume()
        assert await answer


async def test_a_paused_server_can_be_stopped(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    server.pause()
    await server.stop()
    assert not server.running


async def test_a_taken_port_is_one_clear_sentence_of_mongodb(own_mongod: OwnMongod, tmp_path: Path) -> None:
    port = (await own_mongod()).port
    with pytest.raises(EmbeddedError, match=f"Port {port}, meant for MongoDB, is taken"):
        await Mongod(folder=tmp_path / "second", port=port).start()


async def test_a_taken_port_is_one_clear_sentence_of_valkey(own_valkey: OwnValkey, tmp_path: Path) -> None:
    port = (await own_valkey()).port
    with pytest.raises(EmbeddedError, match=f"Port {port}, meant for Valkey, is taken"):
        await Valkey(folder=tmp_path / "second", port=port).start()


async def test_both_listen_on_loopback_only(own_mongod: OwnMongod, own_valkey: OwnValkey) -> None:
    for server in (await own_mongod(), await own_valkey()):
        assert listening(server.pid) == {f"127.0.0.1:{server.port}"}


async def test_only_their_owner_may_enter_the_folders_also_where_they_were_open(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    for server in (
        Mongod(folder=tmp_path / "mongodb", port=free_port()),
        Valkey(folder=tmp_path / "valkey", port=free_port(), durable=True),
    ):
        (server.folder / "data").mkdir(parents=True, mode=0o755)
        async with server:
            assert {stat.S_IMODE(folder.stat().st_mode) for folder in (server.folder,)} == {0o700}
    assert stat.S_IMODE((tmp_path / "mongodb" / "data").stat().st_mode) == 0o700


async def test_one_folder_serves_one_mongod_only(own_mongod: OwnMongod, free_port: Callable[[], int]) -> None:
    first = await own_mongod()
    with pytest.raises(EmbeddedError, match="DBPathInUse"):
        await Mongod(folder=first.folder, port=free_port()).start()


async def test_each_test_gets_an_empty_database_of_both(mongodb_uri: str, redis_url: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client, Redis.from_url(redis_url) as redis:
        assert await client.get_default_database().list_collection_names() == []
        assert await redis.dbsize() == 0
