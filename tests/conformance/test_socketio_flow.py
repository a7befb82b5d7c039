"""The way for fan-out: bytes that are encoded once, written only to whom takes them."""

# ruff: noqa: ARG002  # handlers have the arguments of their protocol, used or not

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.gateway.edge.incidents import DisconnectReason
from services.gateway.socketio.server import Namespace, Socket
from services.gateway.wire.form import Form
from services.gateway.wire.socketio import encoded_event
from tests.conformance.encoding import encoded_message, joined
from tests.conformance.running import Running, socket_server
from tests.conformance.server import SETTINGS
from tests.waiting import HANGS

CALM = replace(SETTINGS, ping_interval=2 * HANGS, close_timeout=0.3)


class Follower:
    """A client of a hub: it knows what it has been sent, and is sent the rest whenever it is not paused."""

    def __init__(self, hub: "Hub", socket: Socket["Follower"]) -> None:
        self.hub = hub
        self.socket = socket
        self.sent = 0
        self.seen: list[str] = []

    def paused(self) -> None:
        self.seen.append("paused")
        assert not self.socket.writable

    def resumed(self) -> None:
        self.seen.append(f"resumed {self.socket.form.value}")
        self.follow()

    def follow(self) -> None:
        form = self.socket.form
        while self.socket.writable and self.sent < len(self.hub.log):
            batch = self.hub.log[self.sent : self.sent + 10]
            self.sent += len(batch)
            self.socket.write_encoded(joined(form, [encoded_message(form, event) for event in batch]))


class Hub(Namespace[Follower]):
    """Has a log and sends it to all clients."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.followers: list[Follower] = []

    def started(self, socket: Socket[Follower]) -> None:
        follower = socket.state = Follower(self, socket)
        socket.flow = follower
        self.followers.append(follower)
        follower.follow()

    def disconnected(self, socket: Socket[Follower], reason: str) -> None:
        self.followers.remove(socket.state)

    def publish(self, *events: bytes) -> None:
        self.log.extend(encoded_event(b'"e"', event) for event in events)
        for follower in self.followers:
            follower.follow()


@asynccontextmanager
async def hub_server() -> AsyncIterator[tuple[Hub, Running]]:
    hub = Hub()
    async with socket_server({"/": hub}, CALM) as running:
        yield hub, running


async def test_a_websocket_gets_ready_made_frames() -> None:
    async with hub_server() as (hub, running), running.session() as socket:
        await socket.send("40")
        await socket.receive()
        hub.publish(b"1", b'{"x":2}')
        assert [await socket.receive() for _ in range(2)] == ['42["e",1]', '42["e",{"x":2}]']
        assert hub.followers[0].seen == []


async def test_polling_is_writable_while_a_request_is_held_and_gets_all_of_a_turn_at_once() -> None:
    async with hub_server() as (hub, running):
        sid = await running.open_polling()
        await running.post(sid, "40")
        await running.get(sid)
        follower = hub.followers[0]
        assert not follower.socket.writable
        hub.publish(b"1")
        assert await running.get(sid) == (200, '42["e",1]')
        poll = asyncio.ensure_future(running.get(sid))
        await running.until(lambda: hub.followers[0].socket.writable)
        hub.publish(b"2")
        hub.publish(b"3")
        assert await poll == (200, '42["e",2]\x1e42["e",3]')
        assert follower.seen[-2:] == ["resumed polling", "paused"]
        del follower  # or it would look like a leak


async def test_an_upgrade_pauses_and_resumes_in_the_other_form_without_loss() -> None:
    async with hub_server() as (hub, running):
        sid = await running.open_polling()
        await running.post(sid, "40")
        await running.get(sid)
        poll = asyncio.ensure_future(running.get(sid))
        await running.until(lambda: hub.followers[0].socket.writable)
        async with running.websocket(sid=sid) as socket:
            hub.publish(b"1")
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            hub.publish(b"2")
            assert await poll == (200, '42["e",1]')
            hub.publish(b"3")
            assert await running.get(sid) == (200, "6")
            hub.publish(b"4")
            await socket.send("5")
            assert [await socket.receive() for _ in range(3)] == ['42["e",2]', '42["e",3]', '42["e",4]']
            assert hub.followers[0].seen[-1] == "resumed websocket"
            assert hub.followers[0].socket.form is Form.WEBSOCKET


async def test_a_slow_websocket_is_paused_and_served_from_the_log_when_it_reads_again() -> None:
    events = [str(number).encode() + b"0" * 10_000 for number in range(1, 1000)]
    async with hub_server() as (hub, running), running.session() as socket:
        await socket.send("40")
        await socket.receive()
        follower = hub.followers[0]
        for event in events:
            hub.publish(event)
            await asyncio.sleep(0)
        await running.until(lambda: "paused" in hub.followers[0].seen)
        assert follower.socket._session.carrier.unsent <= 10 * 10_100
        assert follower.sent < len(events)
        for event in events:
            assert await socket.receive() == f'42["e",{event.decode()}]'
        assert "resumed websocket" in follower.seen
        del follower


async def test_nothing_is_written_to_a_socket_that_is_gone() -> None:
    async with hub_server() as (hub, running):
        async with running.session() as socket:
            await socket.send("40")
            await socket.receive()
            kept = hub.followers[0].socket
        await running.until(lambda: hub.followers == [])
        kept.write_encoded(b"never")
        kept.emit("never")
        kept.disconnect()
        kept.close(DisconnectReason.SERVER_ERROR)
        assert not kept.writable
        del kept  # or it would look like a leak


async def test_all_namespaces_of_a_connection_are_told_of_its_flow() -> None:
    first, second = Hub(), Hub()
    async with socket_server({"/": first, "/b": second}, CALM) as running:
        sid = await running.open_polling()
        await running.post(sid, "40\x1e40/b")
        await running.get(sid)
        assert first.followers[0].seen == second.followers[0].seen == ["resumed polling", "paused"]
