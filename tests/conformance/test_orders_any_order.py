"""A client may poll, probe, upgrade and post in any order: it affects no other client.

It gets each event once, in order and in the form of its carrier; and if it is still connected at the end, it has got
all of them.
"""

import asyncio
import json
import os
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import structlog

from services.common.cursor import Cursor
from tests.conformance.orders import Orders, orders_server
from tests.conformance.running import WebSocket
from tests.stream_events import Outlet
from tests.waiting import HANGS

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

SEEDS = [int(os.environ["ORDERS_SEED"])] if "ORDERS_SEED" in os.environ else range(60)
SHIPPED = '42["subscribe",{"status":["shipped"]}]'
ALL = '42["subscribe",null]'
POSTS = [SHIPPED, ALL, '42["unsubscribe"]', "3", "6", "5", '421["subscribe",{}]', "bAQID", "41", "x", "1"]
POST_WEIGHTS = [6, 6, 3, 3, 2, 2, 6, 0.1, 0.1, 0.1, 0.1]
SEGMENTS = [["2probe"], ["5"], ["2probe", "5"], ["2probe", "2probe", "5"], ["5", "5"], ["2probe", "5", "5"]]
SEGMENTS += [["2probe", "5", ALL], ["4x"], ["6"], ["2probe", "1"], ["2probe", "5", "2probe"]]
CALM_SEGMENTS = [["5"], ["6"], [ALL], ["3", "6"]]  # that may follow an upgrade
SEGMENT_WEIGHTS = [6, 4, 6, 3, 2, 2, 3, 0.5, 0.5, 0.5, 0.2]


class Client:
    """A client that acts in any order, and keeps the packets of each of its carriers."""

    def __init__(self, orders: Orders, chance: random.Random, *, steady: bool) -> None:
        self._orders = orders
        self._engine = orders.running
        self._chance = chance
        self._steady = steady
        self._sid = ""
        self._poll: asyncio.Task[None] | None = None
        self._sockets: list[WebSocket] = []
        self._upgraded: list[WebSocket] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.polled: list[str] = []
        self.over_websockets: dict[int, list[str]] = {}
        self.ended = False

    async def open(self) -> None:
        self._sid = await self._engine.open_polling()
        assert await self._engine.post(self._sid, "40") == (200, "ok")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    def poll(self) -> None:
        if self._poll is None or self._poll.done() or self._chance.random() < 0.003:
            self._poll = self._spawn(self._get())

    async def _get(self) -> None:
        status, body = await self._engine.get(self._sid)
        if status == 200:
            for packet in body.split("\x1e"):
                assert packet[:1] in set("0123456"), packet
                self.ended |= packet == "1"
                self._take(packet, self.polled)
        else:
            self.ended |= "unknown" in body

    def post(self) -> None:
        packet = self._chance.choices(POSTS, POST_WEIGHTS)[0]
        if self._steady and "subscribe" in packet:
            packet = ALL
        self._spawn(self._post(packet))

    async def _post(self, packet: str) -> None:
        self.ended |= packet in {"1", "x", "41", "bAQID"}
        await self._engine.post(self._sid, packet)

    def connect(self) -> None:
        if len(self._sockets) < 3:
            self._spawn(self._listen())

    async def _listen(self) -> None:
        seen = self.over_websockets[len(self.over_websockets)] = []
        async with self._engine.websocket(sid=self._sid) as socket:
            self._sockets.append(socket)
            try:
                async for message in socket.raw:
                    assert message.type is aiohttp.WSMsgType.TEXT, message
                    self._take(message.data, seen)
            finally:
                self._sockets.remove(socket)

    async def send(self) -> None:
        if self._sockets:
            socket = self._chance.choice(self._sockets)
            segment = self._chance.choices(SEGMENTS, SEGMENT_WEIGHTS)[0]
            if socket in self._upgraded and self._chance.random() < 0.95:
                segment = self._chance.choice(CALM_SEGMENTS)
            if "5" in segment:
                self._upgraded.append(socket)
            with suppress(ConnectionError, aiohttp.ClientError):
                await socket.send_at_once(*segment)

    def _take(self, packet: str, seen: list[str]) -> None:
        if packet.startswith('42["orderUpdate"'):
            seen.append(packet)

    def hang_up(self) -> None:
        if self._sockets and self._chance.random() < 0.03:
            self._chance.choice(self._sockets).raw._writer.transport.abort()

    async def fetch_the_rest(self) -> None:
        """Ask until everything has come, or it is clear that it never will."""
        self._spawn(self._everything())
        first = self._orders.last + 1
        async with asyncio.timeout(HANGS):
            while not self.ended and self._engine.connections() and self.reached() < first:
                self._orders.publish(1)  # again and again: the first may be judged by a filter that had none of it
                self.poll()
                await asyncio.sleep(0.005)

    async def _everything(self) -> None:
        for target in self._sockets:
            with suppress(ConnectionError, aiohttp.ClientError):
                await target.send(ALL)
        await self._engine.post(self._sid, ALL)

    def reached(self) -> int:
        return max((each.position.ts for each in self.cursors() if each.epoch == self._orders.epoch), default=0)

    def cursors(self) -> list[Cursor]:
        packets = [*self.polled, *(packet for seen in self.over_websockets.values() for packet in seen)]
        return [cursor_of(packet) for packet in packets]

    async def leave(self) -> None:
        for socket in self._sockets:
            socket.raw._writer.transport.abort()
        await self._engine.post(self._sid, "1")
        async with asyncio.timeout(HANGS):
            for error in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(error, AssertionError):
                    raise error


def cursor_of(packet: str) -> Cursor:
    return Cursor.parse(json.loads(packet[2:])[1]["cursor"])


async def wander(orders: Orders, client: Client, chance: random.Random) -> None:
    acts: list[tuple[Callable[[], Any], float]] = [
        (client.poll, 8),
        (client.post, 3),
        (client.connect, 3),
        (client.send, 8),
        (client.hang_up, 1),
        (lambda: orders.publish(chance.randrange(1, 4)), 10),
        (lambda: orders.publish(300), 0.3),
        (orders.begin_epoch, 0.5),
        (lambda: orders.hub.notify_stale(chance.choice([None, "watcher_silent"])), 1),
        (lambda: asyncio.sleep(0.003), 10),
        (lambda: asyncio.sleep(0), 20),
    ]
    for _ in range(chance.randrange(10, 150)):
        done = chance.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()
        if asyncio.iscoroutine(done):
            await done


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_order_of_polls_probes_upgrades_and_posts_is_the_clients_own_affair(seed: int) -> None:
    chance = random.Random(seed)
    steady = seed % 2 == 0  # one that always wants everything
    with structlog.testing.capture_logs() as logs:
        async with orders_server(ring_events=200) as orders:
            bystander = Outlet()
            orders.join(bystander)
            client = Client(orders, chance, steady=steady)
            await client.open()
            await wander(orders, client, chance)
            await client.fetch_the_rest()
            alive, reached = not client.ended and orders.running.connections() > 0, client.reached()
            await client.leave()
            await orders.running.until(lambda: orders.running.connections() == 0)
            assert len(orders.hub) == 1
            orders.publish(2)
            assert [int(p) for p in bystander.positions][-1] == orders.last
            orders.hub.unsubscribe(next(iter(orders.hub._subscriptions)))
    assert logs == []
    everything = [str(each["cursor"]) for each in bystander.seen]
    assert len(set(everything)) == len(everything)
    told = [str(each) for each in client.cursors()]
    assert len(set(told)) == len(told), "told twice"
    assert set(told) <= set(everything)
    if steady and alive:
        epoch = [each for each in everything if Cursor.parse(each).epoch == orders.epoch]
        assert {each for each in epoch if Cursor.parse(each).position.ts <= reached} <= set(told), "not told"
    for seen in (client.polled, *client.over_websockets.values()):
        places = [everything.index(str(cursor_of(packet))) for packet in seen]
        assert places == sorted(places), "told out of order"
