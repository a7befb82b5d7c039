"""A session changes its carrier in one operation: its writer is paused before, and resumed in the other form."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from services.gateway.edge.incidents import IncidentKind
from services.gateway.engineio.application import Application
from services.gateway.engineio.session import Session
from services.gateway.wire.form import Form
from tests.conformance.encoding import encoded_message
from tests.conformance.running import Running, engine_server
from tests.conformance.settings import CALM
from tests.unit.websocket_client import ENGINEIO, frame, handshake


class Marked(Application):
    """Writes whenever it is called and not paused, in the form that it was resumed in."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._form: Form | None = None
        self.calls: list[str] = []
        self.written = 0

    def write(self) -> None:
        if self._form is not None:
            self.written += 1
            self._session.write(encoded_message(self._form, str(self.written).encode()))

    def say(self, message: bytes) -> None:
        self._session.send(message)

    def paused(self) -> None:
        self._form = None
        self.calls.append(f"paused {self._session.form.value}")

    def resumed(self) -> None:
        self._form = self._session.form
        self.calls.append(f"resumed {self._form.value}")

    def received(self, message: str | bytes) -> None:  # noqa: ARG002  # of the application
        self.write()


@asynccontextmanager
async def marked(**changes: Any) -> AsyncIterator[tuple[Running, list[Marked]]]:
    made: list[Marked] = []

    def accept(session: Session) -> Marked:
        made.append(Marked(session))
        return made[-1]

    async with engine_server(accept, replace(CALM, **changes)) as engine:
        yield engine, made
        made.clear()


@pytest.mark.parametrize("packets", [["5"], ["5", "4x"], ["5", "5"], ["5", "2probe", "5"]])
async def test_an_upgrade_that_was_not_probed_ends_the_attempt_and_not_the_poll(packets: list[str]) -> None:
    async with marked() as (engine, applications):
        sid = await engine.open_polling()
        poll = asyncio.ensure_future(engine.get(sid))
        await engine.until(lambda: len(applications[0].calls) == 3)
        async with engine.websocket(sid=sid) as socket:
            await socket.send_at_once(*packets)
            await socket.closed()
        assert engine.incidents == {IncidentKind.UPGRADE_FAILED: 1}
        assert await engine.post(sid, "4x") == (200, "ok")
        assert await poll == (200, "41")
        assert applications[0].calls[2:] == ["resumed polling", "paused polling"]


@pytest.mark.parametrize("packets", [["2probe", "5"], ["2probe", "2probe", "5"], ["2probe", "5", "5"]])
async def test_an_upgrade_in_one_segment_with_its_probe_releases_the_poll_and_pauses_before_it_changes(
    packets: list[str],
) -> None:
    async with marked() as (engine, applications):
        sid = await engine.open_polling()
        poll = asyncio.ensure_future(engine.get(sid))
        await engine.until(lambda: len(applications[0].calls) == 3)
        async with engine.websocket(sid=sid) as socket:
            await socket.send_at_once(*packets, "4x", "4x")
            answers = ["3probe"] * packets.count("2probe")
            assert [await socket.receive() for _ in range(len(answers) + 2)] == [*answers, "41", "42"]
            assert await poll == (200, "6")
            applications[0].write()
            assert await socket.receive() == "43"
        assert applications[0].calls[2:5] == ["resumed polling", "paused polling", "resumed websocket"]
        assert engine.incidents == {}


async def test_packets_that_a_released_poll_did_not_take_move_to_the_websocket_and_come_once() -> None:
    async with marked() as (engine, applications):
        sid = await engine.open_polling()
        poll = asyncio.ensure_future(engine.get(sid))
        await engine.until(lambda: len(applications[0].calls) == 3)
        async with engine.websocket(sid=sid) as socket:
            for _ in range(3):
                asyncio.get_running_loop().call_soon(applications[0].write)
            await socket.send_at_once("2probe", "5", "4x")
            _, polled = await poll
            seen = [packet for packet in polled.split("\x1e") if packet != "6"]
            while "44" not in seen:
                seen.append(str(await socket.receive()))
        assert [packet for packet in seen if packet != "3probe"] == ["41", "42", "43", "44"]


async def test_a_session_that_ends_between_probe_and_upgrade_stays_ended() -> None:
    async with marked() as (engine, applications):
        sid = await engine.open_polling()
        async with engine.websocket(sid=sid) as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            await engine.post(sid, "1")
            with suppress(ConnectionError, aiohttp.ClientError):
                await socket.send_at_once("5", "4x")
            await socket.closed()
        assert engine.connections() == 0
        assert "resumed websocket" not in applications[0].calls


async def test_a_client_that_upgrades_to_a_websocket_which_takes_nothing_is_known_to_be_paused_there() -> None:
    async with marked(max_unsent=30_000_000) as (engine, applications):
        sid = await engine.open_polling()
        _, writer = await asyncio.open_connection("127.0.0.1", engine.port, limit=1024)
        writer.write(handshake(f"{ENGINEIO}&sid={sid}"))
        applications[0].say(b"x" * 20_000_000)  # more than any kernel takes
        writer.write(frame(1, b"2probe") + frame(1, b"5"))
        await engine.until(lambda: applications[0].calls[-1] == "paused websocket")
        writer.transport.abort()
        await engine.until(lambda: engine.connections() == 0)
