"""Through the load balancer: who is revoked is out at all gateways within a second, while Redis is emptied."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.commands.setup_db import setup
from services.embedded.valkey import Valkey
from tests.access.revocations import revoke
from tests.access.test_doors import DOORS, knock
from tests.access.tokens import SETTINGS, token
from tests.access.viewers import TRANSPORTS, viewer
from tests.conftest import OwnValkey
from tests.deploy.balanced import Stack, balanced_stack
from tests.servers import Servers, with_database
from tests.waiting import until, within


@pytest.fixture
async def valkey(own_valkey: OwnValkey) -> Valkey:
    return await own_valkey()


@pytest.fixture
async def stack(session_servers: Servers, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Stack]:
    uri = with_database(session_servers.mongodb_uri, f"revoked_{secrets.token_hex(6)}")
    await asyncio.to_thread(lambda: [*setup(uri)])
    settings = {**SETTINGS, "MONGODB_URI": uri, "REDIS_URL": valkey.uri(), "DRAIN_SECONDS": "0.2"}
    async with balanced_stack(tmp_path, settings) as running:
        yield running


async def test_ten_connections_are_out_within_a_second(stack: Stack, valkey: Valkey) -> None:
    text = token("eve", rights="*")
    async with AsyncExitStack() as connections, Redis.from_url(valkey.uri()) as redis:
        shown = [
            await connections.enter_async_context(viewer(stack.url, TRANSPORTS[number % 3], text))
            for number in range(10)
        ]
        bystander = await connections.enter_async_context(viewer(stack.url, "websocket", token("ada", rights="*")))
        assert {each.named("connected")[0]["server"] for each in shown} == {one.name for one in stack.gateways}
        async with within(1):
            await asyncio.gather(redis.flushall(), revoke(stack.url, subject="eve"))
            for each in shown:
                assert await each.has("ended") == {"reason": "token_revoked"}
            await until(lambda: all(each.is_over for each in shown), "all are closed")
        for door in DOORS * 2:
            assert await knock(stack.url, door, text) == "token_revoked", door
        assert not bystander.is_over
        assert bystander.names == ["connected"]
