"""What a client asks to see costs a bounded amount of memory and of answers, however much it asks for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.abuse.fed import Bystander, Fed, fed
from tests.conftest import RunService
from tests.waiting import cancel_all, until

RING = 8 << 20
TOO_MANY = [f"{number:024x}" for number in range(57)]
A_FEW = {"customer_name": ["Ada", *(f"{letter * 180}" for letter in "bcdefg")]}  # some 1,500 bytes as text


class Client:
    """A Socket.IO client over a bare websocket, which keeps what it is sent."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.received: list[str] = []
        self.task = asyncio.create_task(self._receive())

    async def _receive(self) -> None:
        async for message in self._socket:
            if message.data == "2":
                await self._socket.send_str("3")
            else:
                self.received.append(message.data)

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def answer(self, packet: str, begins: str) -> str:
        """Send a packet and return the first after it that begins so."""
        before = len(self.received)
        await self.send(packet)

        def found() -> list[str]:
            return [each for each in self.received[before:] if each.startswith(begins)]

        return (await until(found, f"{begins} came"))[0]


@asynccontextmanager
async def client(session: aiohttp.ClientSession, url: str, auth: dict[str, Any] | None = None) -> AsyncIterator[Client]:
    address = f"{url}/socket.io/?EIO=4&transport=websocket"
    async with session.ws_connect(address, max_msg_size=0) as socket:
        made = Client(socket)
        try:
            await made.answer(f"40{json.dumps(auth) if auth else ''}", "4")
            yield made
        finally:
            await cancel_all(made.task)


@pytest.fixture
async def world(run_service: RunService, mongodb_uri: str, redis_url: str) -> AsyncIterator[Fed]:
    async with fed(run_service, mongodb_uri, redis_url, {"RING_BYTES": str(RING)}) as made:
        yield made


async def test_too_much_is_refused_everywhere_with_the_field_and_the_limit(world: Fed) -> None:
    url = world.gateway.url
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/orders/events", params=[("id", each) for each in TOO_MANY]) as response:
            problem = await response.json()
            assert (response.status, problem["errors"][0]["field"]) == (422, "id")
            assert "2048 bytes" in problem["errors"][0]["message"]
        async with client(session, url, {"filter": {"ids": TOO_MANY}}) as refused:
            error = json.loads(next(each for each in refused.received if each.startswith("44"))[2:])
            assert (error["message"], error["data"]["field"]) == ("invalid filter", "ids")
            assert "2048 bytes" in error["data"]["message"]
        async with client(session, url) as made:
            answer = await made.answer('420["subscribe",' + json.dumps({"ids": TOO_MANY}) + "]", "430")
            assert '"field":"ids"' in answer
            assert "2048 bytes" in answer
            assert "4311" in await made.answer('4211["subscribe",' + json.dumps({"ids": TOO_MANY[:30]}) + "]", "4311")
            assert "2048 bytes" in await made.answer('4212["subscribe",' + json.dumps(A_FEW) + "]", "4312")


async def test_no_answer_is_much_longer_than_the_longest_filter(world: Fed) -> None:
    """A word of 37 bytes was answered with 761 KB."""
    async with (
        aiohttp.ClientSession() as session,
        client(session, world.gateway.url, {"filter": {"ids": TOO_MANY[:56]}}) as made,
    ):
        for packet in (
            '421["unsubscribe",{"status":"pending"}]',
            '422["subscribe",{"status":"' + "x" * 50_000 + '"}]',
            '423["subscribe",{"' + "x" * 50_000 + '":1}]',
            '424["' + "x" * 50_000 + '"]',
        ):
            await made.answer(packet, f"43{packet[2]}")
        assert max(map(len, made.received)) < 2_500


async def test_an_offset_with_more_than_was_given_out_is_told_to_begin_anew(world: Fed) -> None:
    async with aiohttp.ClientSession() as session:
        async with client(session, world.gateway.url) as made:
            pid = json.loads(made.received[1][2:])["pid"]
        auth = {"pid": pid, "offset": f"{world.cursor(0)}~{'A' * 50_000}"}
        async with client(session, world.gateway.url, auth) as back:
            await until(lambda: any('"resync"' in each for each in back.received), "it is told")
            assert any('"invalid_cursor"' in each for each in back.received)
            assert not any(pid in each for each in back.received)


async def test_events_do_not_keep_what_filters_have_them_say(world: Fed) -> None:
    """Each of thirty clients adds two kilobytes of its own to each event; the ring kept them as long as the event."""
    async with (
        AsyncExitStack() as stack,
        aiohttp.ClientSession() as session,
        Bystander(world.gateway.url) as bystander,
    ):
        clients = [
            await stack.enter_async_context(
                client(
                    session, world.gateway.url, {"filter": {"customer_name": [*A_FEW["customer_name"], f"{number}"]}}
                )
            )
            for number in range(30)
        ]
        await world.publish(200)
        await bystander.has(range(1, 201))
        memory = world.memory()
        await world.publish(2000)
        await bystander.has(range(1, 2201))
        grown = world.memory() - memory
        for each in clients:
            assert len(each.received[-1]) > 1500
        assert grown < RING + (16 << 20), f"{grown >> 20} MiB"
