"""The load balancer reads its configuration again: no request is refused, and open connections stay."""

import asyncio
from functools import partial
from pathlib import Path

import aiohttp

from tests.deploy.haproxy import HAProxy
from tests.deploy.stand_ins import stand_ins
from tests.waiting import HANGS, until, within


async def test_a_reload_refuses_no_request_and_leaves_connections_open(tmp_path: Path) -> None:
    async with (
        stand_ins(tmp_path, 3) as balanced,
        aiohttp.ClientSession(balanced.url) as http,
        http.get("/api/orders/events") as stream,
        http.ws_connect("/socket.io/?EIO=4&transport=websocket") as socket,
    ):
        statuses: list[int] = []
        done = asyncio.Event()

        async def ask(method: str) -> None:
            while not done.is_set():
                # A connection of its own for each, as it is these that a reload may refuse.
                async with aiohttp.ClientSession() as one, one.request(method, balanced.url) as response:
                    statuses.append(response.status)

        async with asyncio.TaskGroup() as tasks:
            for method in ("GET", "POST", "GET", "POST"):
                tasks.create_task(ask(method))
            for _ in range(3):
                worker, asked = await balanced.front.info("Pid"), len(statuses)
                balanced.front.reload()
                await until(partial(_is_another, balanced.front, worker), "a new process serves")
                await until(partial(_more_than, statuses, asked + 100), "it has answered for a while")
            done.set()
        assert set(statuses) == {200}
        await socket.send_str("still there")
        assert await socket.receive_str(timeout=HANGS) == "still there"
        for gateway in balanced.gateways:
            gateway.release.set()
        assert b"released" in await stream.content.read()
        assert sum(gateway.websockets for gateway in balanced.gateways) == 1


async def test_a_mistake_in_the_new_configuration_changes_nothing(tmp_path: Path) -> None:
    async with stand_ins(tmp_path) as balanced, aiohttp.ClientSession() as http:
        worker = await balanced.front.info("Pid")
        (tmp_path / "haproxy" / "proxies.txt").write_text("not an address\n")
        balanced.front.reload()
        await until(lambda: any(line["level"] == "error" for line in balanced.front.lines()), "it says what is wrong")
        async with http.get(balanced.url) as response:
            assert response.status == 200
        assert await balanced.front.info("Pid") == worker


async def test_it_stops_at_once_when_no_request_is_in_flight(tmp_path: Path) -> None:
    async with stand_ins(tmp_path) as balanced, within(5):
        await balanced.front.stop()


def _more_than(some: list[int], count: int) -> bool:
    return len(some) > count


async def _is_another(front: HAProxy, worker: int) -> bool:
    try:
        return bool(await front.info("Pid") != worker)
    except OSError:
        return False
