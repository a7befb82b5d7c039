"""The `mark` that clients get which are shown only some of the changes."""

import asyncio
from functools import partial
from typing import Any
from unittest.mock import MagicMock

import pytest

from services.common import fair_turns
from services.common.cursor import Cursor, Position
from services.common.fair_turns import FairTurns, Pace
from services.gateway.audience import Audience, view_of
from services.gateway.filters import EVERYTHING, Filter, Interest
from services.gateway.group import Group, SentBytes, offset_suffix
from services.gateway.hub import Hub
from services.gateway.live import orders_namespace
from services.gateway.live.client import encoded_mark
from services.gateway.live.orders_namespace import LiveOrders
from services.gateway.ring import Ring
from services.gateway.sse.endpoint import SseTransport
from services.gateway.sse.settings import SseSettings
from services.gateway.stream import Stream
from services.gateway.wire import websocket
from services.gateway.wire.form import Form
from tests.stream_events import Outlet, event
from tests.waiting import meanwhile, until

CURSOR = Cursor("e1", Position(7, 0))
SHIPPED: Interest = frozenset({Filter(status=("shipped",))})
OF_ADA: Interest = frozenset({Filter(customer_name=("Ada",))})


def group(form: Form, interest: Interest, rights: Interest = EVERYTHING) -> Group:
    return Group(Audience(interest, rights), form, SentBytes())


@pytest.mark.parametrize("rights", [EVERYTHING, OF_ADA])
@pytest.mark.parametrize("interest", [EVERYTHING, SHIPPED])
def test_it_carries_the_position_and_what_a_client_recovers_with(interest: Interest, rights: Interest) -> None:
    cursor = str(CURSOR._replace(view=view_of(rights)))
    packet = f'42["mark",{{"cursor":"{cursor}"}},"{cursor}{offset_suffix(interest)}"]'.encode()
    assert encoded_mark(CURSOR, group(Form.POLLING, interest, rights)) == packet
    assert encoded_mark(CURSOR, group(Form.WEBSOCKET, interest, rights)) == websocket.text_frame(packet)


@pytest.mark.parametrize("over", ["sse", "socketio"])
async def test_it_is_where_the_stream_is_when_it_is_sent(monkeypatch: pytest.MonkeyPatch, over: str) -> None:
    """A client would come back with an older one than its last change, and get that twice."""
    ring = Ring(1000)
    ring.reset("e1", Position(0, 0))
    turns, ready, begin = FairTurns(), asyncio.Event(), Pace.begin
    ready.set()
    hub = Hub(ring, lambda _: None, turns)
    stream = Stream(
        hub, ready, lambda: ring.cursor or CURSOR, MagicMock(), hub.resume_points.locate, turns, MagicMock()
    )

    async def late(self: Pace) -> None:
        await begin(self)
        if ring.position.ts >= 3:
            return  # the stream is quiet from now on
        hub.publish(ring.append([event(ring.position.ts + 1)]))  # as while it waits on a busy gateway

    monkeypatch.setattr(Pace, "begin", late)
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # there is a wait after each client
    monkeypatch.setattr(orders_namespace, "MARK_SECONDS", 0.01)
    told: list[tuple[Cursor, Position]] = []
    last: dict[int, Position] = {}

    def note(number: int, here: Cursor, *_: object) -> None:
        told.append((here, ring.position))
        last[number] = here.position

    clients: list[Any] = []
    for number in range(3):
        client = MagicMock(beat=partial(note, number), mark=partial(note, number))
        clients.append(client)
        client.subscription = hub.subscribe(Outlet(), SHIPPED, ring.position)
        hub.resume(client.subscription)
    if over == "sse":
        transport = SseTransport(
            stream, MagicMock(), MagicMock(), "", MagicMock(), MagicMock(), SseSettings(heartbeat=0.01), MagicMock()
        )
        transport._streams = dict.fromkeys(clients, MagicMock())
        sending = transport.send_heartbeats()
    else:
        live = LiveOrders(stream, MagicMock(), "", MagicMock(), MagicMock())
        live._clients = set(clients)
        sending = live.send_marks()
    async with meanwhile(sending):
        await until(lambda: [*last.values()] == [Position(3, 0)] * 3, "all are told where the stream has come to")
    assert [here.position for here, _ in told] == [position for _, position in told]
