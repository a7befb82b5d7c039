"""Runs the conformance server within each test, on either event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from services.gateway.edge.origin import OriginPolicy
from services.gateway.edge.peer import Peers
from tests.conformance.running import Running, engine_server, socket_server
from tests.conformance.server import Echo, EngineEcho
from tests.conformance.settings import CALM, QUICK

_ON_BOTH_LOOPS = {
    "test_engineio_carriers",
    "test_engineio_frames",
    "test_engineio_polling",
    "test_engineio_upgrade",
    "test_engineio_websocket",
    "test_socketio_flow",
}


EngineWith = Callable[..., Awaitable[Running]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run transport-dependent tests on both loops: connections are taken over differently on each."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in _ON_BOTH_LOOPS:
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture
async def engine() -> AsyncIterator[Running]:
    async with engine_server(EngineEcho, CALM) as running:
        yield running


@pytest.fixture
async def beating() -> AsyncIterator[Running]:
    """Run an engine with the heartbeat of the official suites."""
    async with engine_server(EngineEcho, QUICK) as running:
        yield running


@pytest.fixture
async def sockets() -> AsyncIterator[Running]:
    async with socket_server({"/": Echo(), "/custom": Echo()}, CALM) as running:
        yield running


@pytest.fixture
async def engine_with() -> AsyncIterator[EngineWith]:
    """Start an engine with other settings than usual."""
    async with AsyncExitStack() as stack:

        async def start(origins: OriginPolicy | None = None, peers: Peers | None = None, **changes: Any) -> Running:
            settings = replace(CALM, **changes)
            return await stack.enter_async_context(engine_server(EngineEcho, settings, origins, peers))

        yield start
