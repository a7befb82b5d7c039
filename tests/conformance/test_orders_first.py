"""A client that asks for the orders gets them before any change."""

import json

import pytest

from services.gateway.live.orders_namespace import LiveOrders
from services.gateway.snapshot_chunk import INSIDE
from services.gateway.socketio.server import Socket
from tests.conformance.orders import orders_server


async def test_changes_that_come_while_a_client_connects_do_not_overtake_its_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greeting = LiveOrders.greeting
    async with orders_server() as orders:

        def late(self: LiveOrders, socket: Socket[object]) -> object:
            orders.publish(3)  # its position has been found, and it is not in the hub yet
            return greeting(self, socket)  # type: ignore[arg-type]

        monkeypatch.setattr(LiveOrders, "greeting", late)
        async with orders.running.session() as socket:
            await socket.send("40" + json.dumps({"since": INSIDE}))
            assert str(await socket.receive()).startswith("40")
            names = [json.loads(str(await socket.receive())[2:])[0] for _ in range(3)]
            orders.publish(1)
            names.append(json.loads(str(await socket.receive())[2:])[0])
    assert names == ["connected", "snapshot", "live", "orderUpdate"]
