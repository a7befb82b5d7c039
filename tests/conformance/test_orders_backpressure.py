"""A client that catches up is sent no more than it takes, and status events meanwhile do not cost it its place."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.common.cursor import Cursor, Position
from services.gateway.edge.incidents import IncidentKind
from services.gateway.subscription import Mode
from services.gateway.wire.form import Form
from tests.conformance.orders import Orders, orders_server
from tests.unit.websocket_client import SOCKETIO, frame, handshake

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

MISSED = 19_000
BROWSER = {"User-Agent": "Mozilla/5.0"}


def connect_packet(since: int) -> str:
    return "40" + json.dumps({"since": str(Cursor("e1", Position(since, 0)))})


async def answers(orders: Orders, sid: str, **headers: str) -> AsyncGenerator[list[str]]:
    while True:
        status, body = await orders.running.get(sid, **headers)
        assert status == 200
        assert len(body) < 300_000
        yield body.split("\x1e")


def positions_of(packets: list[str]) -> list[int]:
    return [
        Cursor.parse(json.loads(packet[2:])[1]["cursor"]).position.ts
        for packet in packets
        if packet.startswith('42["orderUpdate"')
    ]


@pytest.mark.parametrize("ring", [20_000, 1_000])
async def test_a_polling_client_that_missed_much_gets_it_poll_by_poll_and_survives_status_events(
    ring: int,
) -> None:
    async with orders_server(ring_events=ring, max_unsent=300_000) as orders:
        orders.publish(MISSED)
        sid = await orders.running.open_polling()
        await orders.running.post(sid, connect_packet(0))
        seen: list[int] = []
        statuses = polled = 0
        async with aclosing(answers(orders, sid, **BROWSER)) as polls:
            async for packets in polls:
                seen += positions_of(packets)
                statuses += sum(packet.startswith('42["status"') for packet in packets)
                if (polled := polled + 1) % 5 == 0:
                    orders.hub.notify_stale(None if orders.hub.stale else "watcher_silent")
                if len(seen) >= MISSED:
                    break
        assert seen == list(range(1, MISSED + 1))
        assert statuses > 10
        assert orders.running.incidents == {}
        await orders.running.post(sid, "1")


async def test_a_page_is_all_that_one_poll_brings_and_the_loop_goes_round_between_any_two() -> None:
    async with orders_server(ring_events=20_000) as orders:
        orders.publish(MISSED)
        sid = await orders.running.open_polling()
        await orders.running.post(sid, connect_packet(0))
        async with aclosing(answers(orders, sid, **BROWSER)) as polls:
            first = positions_of(await anext(polls))
            assert 0 < len(first) <= 200
            assert orders.modes()[Form.POLLING, Mode.PAUSED] == 1
        await orders.running.post(sid, "1")


def reads_nothing(orders: Orders, query: str, *packets: str) -> socket.socket:
    """Open a websocket, send packets and never read; the kernel takes little for us."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", orders.running.port))
    frames = b"".join(frame(1, packet.encode()) for packet in packets)
    client.sendall(handshake(SOCKETIO + query) + frames)
    return client


async def test_a_websocket_that_does_not_read_gets_no_status_until_it_is_dropped() -> None:
    async with orders_server(ring_events=40_000, stall=0.5) as orders:
        orders.publish(2 * MISSED)
        with reads_nothing(orders, "", connect_packet(0)):
            await orders.running.until(lambda: orders.modes()[Form.WEBSOCKET, Mode.PAUSED] == 1)
            for _ in range(20_000):
                orders.hub.notify_stale(None if orders.hub.stale else "watcher_silent")
            await orders.running.until(lambda: orders.running.connections() == 0)
            assert (orders.incidents, orders.running.incidents) == ([IncidentKind.SLOW_CONSUMER], {})


async def test_a_client_that_upgrades_to_a_websocket_and_reads_nothing_from_it_is_dropped() -> None:
    async with orders_server(stall=0.5, max_unsent=40_000_000) as orders:
        sid = await orders.running.open_polling()
        await orders.running.post(sid, "40")
        (client,) = (each.outlet for each in orders.hub._subscriptions)
        client._socket.emit("long", "x" * 20_000_000)  # type: ignore[attr-defined]  # more than any kernel takes
        del client
        with reads_nothing(orders, f"&sid={sid}", "2probe", "5"):
            await orders.running.until(lambda: orders.running.connections() == 0)
            assert (orders.incidents, orders.running.incidents) == ([IncidentKind.SLOW_CONSUMER], {})


async def test_a_session_that_fails_while_its_poll_is_answered_leaves_nothing_in_the_budget() -> None:
    """The held poll is answered after the session was forgotten: the rest is discarded, as the server's state shows at
    the end."""
    async with orders_server() as orders:
        for _ in range(3):
            sid = await orders.running.open_polling()
            await orders.running.post(sid, connect_packet(0))
            await orders.running.get(sid)
            poll = asyncio.create_task(orders.running.get(sid))
            await orders.running.until(lambda: orders.modes()[Form.POLLING, Mode.LIVE] == 1)
            await orders.running.post(sid, "\x1e".join(['42["subscribe"]'] * 60 + ["7"]))
            await poll
        await orders.running.until(lambda: orders.running.connections() == 0)
