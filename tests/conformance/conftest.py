"""Runs the conformance server within each test, on either event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import pytest
import uvloop

from tests.conformance.running import Running, engine_server, socket_server
from tests.conformance.server import SETTINGS, Echo, EngineEcho

_SETTINGS = replace(SETTINGS, close_timeout=0.3)  # or each test would wait for clients that never ask again


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run everything twice: connections are taken over from aiohttp on loops that differ just there."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def engine() -> AsyncIterator[Running]:
    async with engine_server(EngineEcho, _SETTINGS) as running:
        yield running


@pytest.fixture
async def sockets() -> AsyncIterator[Running]:
    async with socket_server({"/": Echo(), "/custom": Echo()}, _SETTINGS) as running:
        yield running
