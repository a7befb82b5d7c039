"""The fixtures that any test may ask for.

Servers of the whole run (given by TEST_MONGODB_URI and TEST_REDIS_URL, or MONGODB_URI and REDIS_URL; else embedded,
by Docker where there are no wheels; else testcontainers; else the run fails and says so):

- ``mongodb_uri: str``: a database of this test alone, dropped afterwards.
- ``redis_url: str``: an empty logical database, flushed afterwards. Channels are shared by all databases of a server.

Servers of one test, to be killed, frozen or started again (see services/embedded/server.py for what they can do):

- ``own_mongod: OwnMongod``: ``server = await own_mongod("--oplogSize", "1")``, then ``server.uri("orders")``.
- ``own_mongod_set: OwnMongodSet``: ``members = await own_mongod_set(3)``, then ``await members.primary()``.
- ``own_valkey: OwnValkey``: ``server = await own_valkey(durable=True)``, then ``server.uri()``.

Our services as processes (see tests/service_process.py):

- ``run_service: RunService``: ``gateway = await run_service("gateway", {"REDIS_URL": redis_url, ...})``; ready when it
  returns, unless ``wait=False``. Stopped afterwards; its output is shown where the test fails.
- ``free_port: Callable[[], int]``.
"""

import gc
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.embedded import ports
from services.embedded.binaries import MONGOD, Image, locate
from services.embedded.data_server import way_of_environment
from services.embedded.mongod import Mongod
from services.embedded.mongod_set import MongodSet
from services.embedded.valkey import Valkey
from tests.forked_process import ForkedService
from tests.running_product import PORTS, end
from tests.servers import SMALL_OPLOG, Servers, new_mongod, servers, unused_database, with_database
from tests.service_process import ServiceProcess

# A deadline would make a generated test fail where the machine is busy with something else.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# What is made while tests are collected stays: to look for garbage in it takes a quarter of the time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the module with the most tests first, then the page's, which take longest, and the shortest last.

    The processes of a run take tests from the end of each other's queues. That module must not be divided among them,
    because each would prepare anew what its tests share; and where long tests were left, others would have to wait.
    """
    counts = Counter(item.path for item in items)
    most = max(counts.values(), default=0)
    items.sort(key=lambda item: (counts[item.path] < most, "unit" in item.path.parts, "web" not in item.path.parts))


@pytest.fixture(scope="module", autouse=True)
def _earlier_modules_left_no_garbage() -> None:
    """Keep what is there before out of the garbage collections, which many tests ask for to see what is left of them.

    Before each module, not only once: the generators of random tests alone leave half a million objects.
    """
    gc.collect()
    gc.freeze()


class OwnMongod(Protocol):
    """Start a mongod for this test alone; `arguments` are added to its command line."""

    async def __call__(self, *arguments: str) -> Mongod: ...


class OwnMongodSet(Protocol):
    """Start a replica set of `count` members for this test alone."""

    async def __call__(self, count: int = 3, *arguments: str) -> MongodSet: ...


class OwnValkey(Protocol):
    """Start a Valkey for this test alone."""

    async def __call__(self, *arguments: str, durable: bool = False) -> Valkey: ...


class RunService(Protocol):
    """Start "watcher" or "gateway" on a free port, and wait until it is ready unless told not to."""

    async def __call__(
        self,
        service: str,
        settings: Mapping[str, str],
        *,
        port: int | None = None,
        wait: bool = True,
        descriptors: int | None = None,
    ) -> ServiceProcess: ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    async with servers(tmp_path_factory.mktemp("servers")) as both:
        yield both


@pytest.fixture
async def mongodb_uri(session_servers: Servers) -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    yield with_database(session_servers.mongodb_uri, name)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(session_servers.mongodb_uri)
    async with client:
        await client.drop_database(name)


@pytest.fixture
async def redis_url(session_servers: Servers) -> AsyncIterator[str]:
    url = await unused_database(session_servers.redis_url)
    yield url
    async with Redis.from_url(url) as client:
        await client.flushdb()


@pytest.fixture
def free_port() -> Callable[[], int]:
    return ports.free_port


@pytest.fixture
async def own_mongod(tmp_path: Path) -> AsyncIterator[OwnMongod]:
    async with AsyncExitStack() as stack:

        async def start(*arguments: str) -> Mongod:
            port = ports.free_port()
            server = new_mongod(tmp_path / f"mongod-{port}", arguments or SMALL_OPLOG, port=port)
            stack.push_async_callback(server.kill)  # a second sooner than it stops; its data goes with the test
            await server.start()
            return server

        yield start


@pytest.fixture
async def own_mongod_set(tmp_path: Path) -> AsyncIterator[OwnMongodSet]:
    async with AsyncExitStack() as stack:

        async def start(count: int = 3, *arguments: str) -> MongodSet:
            if isinstance(locate(MONGOD, way_of_environment()), Image):
                pytest.skip(
                    "containers do not reach each other on loopback: a set of several needs the wheel of mongod"
                )
            numbers = [ports.free_port() for _ in range(count)]
            members = [
                new_mongod(tmp_path / f"mongod-{port}", arguments or SMALL_OPLOG, port=port, alone=False)
                for port in numbers
            ]
            running = await stack.enter_async_context(MongodSet(members))
            for member in members:
                stack.push_async_callback(member.kill)  # as above, before they are stopped one after the other
            return running

        yield start


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[OwnValkey]:
    async with AsyncExitStack() as stack:

        async def start(*arguments: str, durable: bool = False) -> Valkey:
            port = ports.free_port()
            folder = tmp_path / f"valkey-{port}"
            return await stack.enter_async_context(
                Valkey(folder=folder, port=port, arguments=arguments, durable=durable)
            )

        yield start


@pytest.fixture
async def run_service(tmp_path: Path) -> AsyncIterator[RunService]:
    started: list[ServiceProcess] = []

    async def start(
        service: str,
        settings: Mapping[str, str],
        *,
        port: int | None = None,
        wait: bool = True,
        descriptors: int | None = None,
    ) -> ServiceProcess:
        number = port or ports.free_port()
        process = ForkedService(
            service=service,
            port=number,
            folder=tmp_path,
            settings={**settings, PORTS[service]: str(number)},
            descriptors=descriptors,
        )
        started.append(process)
        await (process.start() if wait else process.launch())
        return process

    yield start
    await end(started)
