"""The servers in containers, as they run where there are no wheels; skipped, with a message, without Docker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.embedded import docker
from services.embedded.binaries import Way
from services.embedded.mongod import Mongod
from services.embedded.valkey import Valkey


@pytest.fixture(autouse=True)
def needs_docker() -> None:
    if trouble := docker.missing():
        pytest.skip(f"NOT TESTED, because {trouble}: MongoDB and Valkey in containers, as on macOS and ARM")


@pytest.fixture
async def mongod(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Mongod]:
    server = Mongod(folder=tmp_path / "mongodb", port=free_port(), way=Way.DOCKER)
    yield server
    await server.stop()


@pytest.fixture
async def valkey(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Valkey]:
    server = Valkey(folder=tmp_path / "valkey", port=free_port(), way=Way.DOCKER, durable=True)
    yield server
    await server.stop()


async def containers(port: int) -> list[str]:
    child = await asyncio.create_subprocess_exec(
        *("docker", "ps", "--filter", f"publish={port}", "--format", "{{.Ports}}"), stdout=asyncio.subprocess.PIPE
    )
    return (await child.communicate())[0].decode().splitlines()


async def test_mongodb_in_a_container_is_a_replica_set_and_keeps_its_data_however_it_ends(mongod: Mongod) -> None:
    await mongod.start(deadline=120)
    [ports] = await containers(mongod.port)
    assert f"127.0.0.1:{mongod.port}->{mongod.port}/tcp" in ports
    assert "0.0.0.0" not in ports
    async with AsyncMongoClient[dict[str, object]](mongod.uri("shop")) as client:
        orders = client.get_default_database()["orders"]
        async with await orders.watch() as stream:
            await orders.insert_one({"_id": 1})
            assert (await stream.next())["operationType"] == "insert"

        await mongod.kill()
        assert await containers(mongod.port) == []
        await mongod.start(deadline=120)
        assert await orders.count_documents({}) == 1

        mongod.pause()
        mongod.resume()
        assert await orders.count_documents({}) == 1

        await mongod.stop()
        assert await containers(mongod.port) == []
        assert not (mongod.folder / "container.id").exists()
        await mongod.start(deadline=120)
        assert await orders.count_documents({}) == 1
    assert mongod.kill_command.startswith("docker kill ")


async def test_killing_docker_run_leaves_a_container_that_the_next_start_removes(
    mongod: Mongod, tmp_path: Path
) -> None:
    await mongod.start(deadline=120)
    process = (
        mongod._process
    )  # as if `make run` itself had been killed: no process is left that could end the container
    assert process is not None
    process._child.kill()
    await process._child.wait()
    assert len(await containers(mongod.port)) == 1
    again = Mongod(folder=tmp_path / "mongodb", port=mongod.port, way=Way.DOCKER)
    await again.start(deadline=120)
    try:
        assert len(await containers(mongod.port)) == 1
    finally:
        await again.stop()


async def test_valkey_in_a_container_answers_and_keeps_its_data(valkey: Valkey) -> None:
    await valkey.start(deadline=120)
    async with Redis.from_url(valkey.uri()) as client:
        await client.set("a", "1")
    await valkey.restart()
    async with Redis.from_url(valkey.uri()) as client:
        assert await client.get("a") == b"1"
    await valkey.kill()
    assert await containers(valkey.port) == []
