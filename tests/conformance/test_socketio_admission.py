"""How a client is admitted to a namespace, refused, or gone before the answer."""

# ruff: noqa: ARG002  # handlers have the arguments of their protocol, used or not

import asyncio
from collections.abc import Mapping

import structlog

from services.gateway.edge.incidents import IncidentKind
from services.gateway.socketio.server import ConnectionRefused, Namespace, Socket
from tests.conformance.running import join, socket_server
from tests.conformance.server import Auth
from tests.conformance.settings import CALM


async def test_the_result_of_connect_is_in_the_reply() -> None:
    class WithPid(Namespace[None]):
        def connect(self, socket: Socket[None], auth: Auth) -> Mapping[str, object]:
            return {"pid": "p1", "auth": auth}

    async with socket_server({"/": WithPid()}, CALM) as server, server.session() as socket:
        fields = await join(socket, '40{"pid":"p0","offset":"o"}')
    assert fields == {"sid": fields["sid"], "pid": "p1", "auth": {"pid": "p0", "offset": "o"}}


class Doorman(Namespace[None]):
    """Admits known names only, once `decide` is set."""

    def __init__(self) -> None:
        self.asked = self.left = 0
        self.decide = asyncio.Event()

    async def connect(self, socket: Socket[None], auth: Auth) -> None:
        self.asked += 1
        await self.decide.wait()
        match auth.get("name"):
            case "Ann":
                return
            case "Bob":
                raise ConnectionRefused("not you", {"code": 7})
            case _:
                raise RuntimeError("the list is lost")

    def disconnected(self, socket: Socket[None], reason: str) -> None:
        self.left += 1


async def test_a_refused_client_is_told_why_and_may_try_again() -> None:
    door = Doorman()
    door.decide.set()
    async with socket_server({"/": door}, CALM) as server, server.session() as socket:
        await socket.send('40{"name":"Bob"}')
        assert await socket.receive() == '44{"message":"not you","data":{"code":7}}'
        await join(socket)


async def test_a_fault_while_connecting_refuses_without_details() -> None:
    door = Doorman()
    door.decide.set()
    with structlog.testing.capture_logs() as logs:
        async with socket_server({"/": door}, CALM) as server, server.session() as socket:
            await socket.send("40")
            assert await socket.receive() == '44{"message":"Internal server error"}'
            assert [entry.pop("exc_info") and entry["log_level"] for entry in logs] == ["error"]
    assert server.incidents == {IncidentKind.APPLICATION_ERROR: 1}


async def test_a_client_that_sends_before_it_is_admitted_is_closed() -> None:
    door = Doorman()
    async with socket_server({"/": door}, CALM) as server, server.session() as socket:
        await socket.send('40{"name":"Ann"}', '42["hello"]')
        assert await socket.closed() == 1002
    assert door.left == 0


async def test_a_client_that_connects_twice_is_answered_once() -> None:
    door = Doorman()
    async with socket_server({"/": door}, CALM) as server, server.session() as socket:
        await socket.send('40{"name":"Ann"}', '40{"name":"Ann"}')
        await server.until(lambda: door.asked == 1)
        door.decide.set()
        assert str(await socket.receive()).startswith("40{")
        await socket.send("41")
        await server.until(lambda: door.left == 1)
    assert door.asked == 1


async def test_a_client_that_leaves_before_it_is_admitted_was_never_there() -> None:
    door = Doorman()
    async with socket_server({"/": door}, CALM) as server:
        async with server.session() as socket:
            await socket.send("40")
            await server.until(lambda: door.asked == 1)
        await server.until(lambda: server.connections() == 0)
    assert door.left == 0
