"""Setting up the database: everything is there afterwards, twice does no harm, and failure is one sentence."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from services.commands.database_spec import SAMPLES, VALIDATOR
from services.commands.setup_db import SetupError, setup
from services.common.order_indexes import INDEXES
from services.common.secret_document import secrets_of
from services.embedded.binaries import MONGOD
from services.embedded.process import Process
from tests.forked_process import run_forked
from tests.servers import program
from tests.service_process import ROOT

Documents = AsyncDatabase[dict[str, Any]]


@pytest.fixture
async def database(mongodb_uri: str) -> AsyncIterator[Documents]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        yield client.get_default_database()


async def _options(database: Documents) -> dict[str, Any]:
    [collection] = [found async for found in await database.list_collections(filter={"name": "orders"})]
    options: dict[str, Any] = collection["options"]
    return options


async def test_an_empty_database_gets_everything(mongodb_uri: str, database: Documents) -> None:
    steps = list(setup(mongodb_uri, samples=True))
    options = await _options(database)
    assert options["changeStreamPreAndPostImages"] == {"enabled": True}
    assert options["validator"] == VALIDATOR
    assert options["validationAction"] == "warn"
    assert set(await database.orders.index_information()) == {"_id_", *(index.name for index in INDEXES)}
    ends = (await database.revocations.index_information())["revocations_end"]
    assert (ends["key"], ends["expireAfterSeconds"]) == ([("until", 1)], 0)
    assert await database.orders.count_documents({}) == len(SAMPLES)
    assert steps[-2:] == [
        f"Inserted {len(SAMPLES)} sample orders, because the collection was empty",
        "Change streams work",
    ]


async def test_samples_are_inserted_only_when_they_are_asked_for(mongodb_uri: str, database: Documents) -> None:
    steps = list(setup(mongodb_uri))
    assert await database.orders.count_documents({}) == 0
    assert not any("sample" in step for step in steps)


async def test_a_second_time_changes_nothing(mongodb_uri: str, database: Documents) -> None:
    async def everything() -> object:
        secrets = await database.gateway_secrets.find().to_list()
        return await _options(database), await database.orders.find().to_list(), secrets

    list(setup(mongodb_uri, samples=True))
    before = await everything()
    steps = list(setup(mongodb_uri, samples=True))
    assert await everything() == before
    assert "Inserted no sample orders: the collection has orders already" in steps
    assert not any(step.startswith(("Created", "Set ", "Switched")) for step in steps)


async def test_existing_orders_get_no_samples_and_get_images(mongodb_uri: str, database: Documents) -> None:
    await database.orders.insert_one({"_id": 1})
    list(setup(mongodb_uri, samples=True))
    assert await database.orders.find().to_list() == [{"_id": 1}]
    assert (await _options(database))["changeStreamPreAndPostImages"] == {"enabled": True}


async def test_an_existing_validator_is_kept(mongodb_uri: str, database: Documents) -> None:
    theirs = {"total": {"$gte": 0}}
    await database.create_collection("orders", validator=theirs)
    steps = list(setup(mongodb_uri, samples=True))
    assert "Kept the existing validator: it is not ours" in steps
    assert "Inserted no sample orders: Document failed validation" in steps
    assert (await _options(database))["validator"] == theirs


async def test_the_samples_satisfy_the_validator(mongodb_uri: str, database: Documents) -> None:
    list(setup(mongodb_uri, samples=True))
    assert await database.orders.find({"$nor": [VALIDATOR]}).to_list() == []


@pytest.mark.parametrize(
    ("condition", "index"),
    [({"status": "pending"}, "status_newest_first"), ({"customer_name": "Ada"}, "customer_newest_first")],
)
async def test_a_filtered_list_is_read_from_its_index_in_order(
    mongodb_uri: str, database: Documents, condition: dict[str, str], index: str
) -> None:
    list(setup(mongodb_uri))
    plan = str(await database.orders.find(condition).sort("_id", -1).explain())
    assert index in plan
    assert "'SORT'" not in plan


async def test_the_command_prints_a_line_for_each_step(mongodb_uri: str, tmp_path: Path) -> None:
    done = _run(mongodb_uri, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 9  # and first which MongoDB it is
    assert done.stderr == ""
    assert "Inserted 10 sample orders" in _run(mongodb_uri, tmp_path, "--samples").stdout


async def test_the_gateways_secret_is_random_and_a_new_one_keeps_the_one_before(
    mongodb_uri: str, database: Documents, tmp_path: Path
) -> None:
    async def secrets() -> list[str]:
        document = await database.gateway_secrets.find_one({"_id": "recovery"})
        return secrets_of(document or {})

    async def run(*arguments: str) -> str:
        environment = {"MONGODB_URI": mongodb_uri}
        ended = await run_forked(
            "services.commands.setup_db", *arguments, cwd=tmp_path, environment=environment, seconds=50
        )
        assert ended.code == 0, ended.output
        return ended.output

    await run()
    [first] = await secrets()
    assert len(first) == 64
    for _ in range(2):
        before = await secrets()
        said = await run("--rotate-secret")
        assert "Created a new secret for the gateways" in said
        newest, kept = await secrets()
        assert kept == before[0]
        assert newest not in before
        assert newest not in said


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    done = _run("http://localhost", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("A setting is wrong: MONGODB_URI: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_server_is_one_sentence(free_port: Callable[[], int]) -> None:
    port = free_port()
    with pytest.raises(SetupError, match=rf"No MongoDB that takes writes answers at 127\.0\.0\.1:{port};"):
        list(setup(f"mongodb://127.0.0.1:{port}/shop", patience=0.5))


async def test_a_server_that_is_no_replica_set_is_one_sentence(free_port: Callable[[], int], tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is not a replica set, and only replica sets have change streams"):
        await _setup_on(tmp_path, free_port())


async def test_a_set_that_was_never_initiated_is_one_sentence(free_port: Callable[[], int], tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"is not a replica set yet: run rs\.initiate\(\)"):
        await _setup_on(tmp_path, free_port(), "--replSet", "rs0")


async def _setup_on(folder: Path, port: int, *arguments: str) -> None:
    """Run the set-up on a mongod that `Mongod` would not make."""
    argv = [str(program(MONGOD)), "--dbpath", str(folder), "--port", str(port), "--nounixsocket", *arguments]
    process = await Process.start(argv, log=folder / "mongod.log")
    try:
        list(setup(f"mongodb://127.0.0.1:{port}/shop", patience=5))
    finally:
        await process.kill()


def _run(mongodb_uri: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.commands.setup_db", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MONGODB_URI": mongodb_uri},
        cwd=folder,  # away from a developer's .env
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
