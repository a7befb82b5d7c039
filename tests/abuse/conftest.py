"""The product and its bystander, shared by all attackers; made anew after one that has done damage."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from tests.abuse.product import product
from tests.abuse.scene import Scene
from tests.servers import Servers, unused_database, with_database


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared_scene(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    name = f"abuse_{secrets.token_hex(6)}"
    redis_url = await unused_database(session_servers.redis_url)
    folder: Path = tmp_path_factory.mktemp("abuse")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncMongoClient[dict[str, object]](session_servers.mongodb_uri))
        stack.push_async_callback(client.drop_database, name)
        running = await stack.enter_async_context(
            product(with_database(session_servers.mongodb_uri, name), redis_url, folder)
        )
        yield await stack.enter_async_context(Scene(running))


@pytest_asyncio.fixture(loop_scope="package")
async def scene(shared_scene: Scene) -> Scene:
    """The scene, with everything in its place."""
    await shared_scene.set_up()
    return shared_scene
