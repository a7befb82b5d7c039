"""Runs the conformance server within each test, on either event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import pytest
import uvloop

from tests.conformance.running import Running, engine_server, socket_server
from tests.conformance.server import SETTINGS, Echo, EngineEcho

_QUICK = replace(SETTINGS, close_timeout=0.1)  # or each test would wait for clients that never ask again
_CALM = replace(_QUICK, ping_interval=20, ping_timeout=10)  # on a busy machine half a second is soon over
_ON_BOTH_LOOPS = {"test_engineio_websocket", "test_engineio_polling", "test_engineio_upgrade", "test_socketio_flow"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what depends on the transport twice: connections are taken over on loops that differ just there."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in _ON_BOTH_LOOPS:
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture
async def engine() -> AsyncIterator[Running]:
    async with engine_server(EngineEcho, _CALM) as running:
        yield running


@pytest.fixture
async def beating() -> AsyncIterator[Running]:
    """Run an engine with the heartbeat of the official suites."""
    async with engine_server(EngineEcho, _QUICK) as running:
        yield running


@pytest.fixture
async def sockets() -> AsyncIterator[Running]:
    async with socket_server({"/": Echo(), "/custom": Echo()}, _CALM) as running:
        yield running
