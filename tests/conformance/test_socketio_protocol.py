"""Socket.IO packets over a websocket, byte by byte as the protocol's second specification by example has them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.gateway.edge.incidents import IncidentKind
from tests.conformance.running import Running, WebSocket
from tests.waiting import within


@asynccontextmanager
async def connected(sockets: Running) -> AsyncIterator[WebSocket]:
    """Give a websocket whose client is in the default namespace."""
    async with sockets.session() as socket:
        await socket.send("40")
        assert str(await socket.receive()).startswith('40{"sid":"')
        assert await socket.receive() == '42["auth",{}]'
        yield socket


@pytest.mark.parametrize(
    ("packet", "prefix", "auth"),
    [
        ("40", "40", '42["auth",{}]'),
        ("40{}", "40", '42["auth",{}]'),
        ('40{"token":"123"}', "40", '42["auth",{"token":"123"}]'),
        ("40/,", "40", '42["auth",{}]'),
        ("40/custom", "40/custom,", '42/custom,["auth",{}]'),
        ("40/custom,", "40/custom,", '42/custom,["auth",{}]'),
        ('40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]'),
    ],
)
async def test_a_client_connects_to_a_namespace(sockets: Running, packet: str, prefix: str, auth: str) -> None:
    async with sockets.session() as socket:
        await socket.send(packet)
        reply = str(await socket.receive())
        assert reply.startswith(prefix + "{")
        assert list(json.loads(reply.removeprefix(prefix))) == ["sid"]
        assert await socket.receive() == auth


async def test_each_namespace_of_a_connection_has_a_sid_of_its_own(sockets: Running) -> None:
    async with sockets.session() as socket:
        await socket.send("40", "40/custom")
        replies = [str(await socket.receive()) for _ in range(4)]
    first, second = (reply for reply in replies if reply.startswith("40"))
    assert json.loads(first[2:])["sid"] != json.loads(second.removeprefix("40/custom,"))["sid"]


async def test_an_unknown_namespace_is_refused_and_the_connection_stays(sockets: Running) -> None:
    async with sockets.session() as socket:
        await socket.send("40/random", '40/random,{"token":1}', "40")
        for _ in range(2):
            assert await socket.receive() == '44/random,{"message":"Invalid namespace"}'
        assert str(await socket.receive()).startswith("40{")


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        ('42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'),
        ('42["message"]', '42["message-back"]'),
        ('42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'),
        ('420["message-with-ack"]', "430[]"),
        ('42["message","\u00e4\U0001f4a9\\u0000\\u001e"]', '42["message-back","\u00e4\U0001f4a9\\u0000\\u001e"]'),
    ],
)
async def test_an_event_is_answered(sockets: Running, packet: str, answer: str) -> None:
    async with connected(sockets) as socket:
        await socket.send(packet)
        assert await socket.receive() == answer


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (
            '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        ),
        (
            '452-789["message-with-ack",{"_placeholder":true,"num":0},{"x":[{"_placeholder":true,"num":1}]}]',
            '462-789[{"_placeholder":true,"num":0},{"x":[{"_placeholder":true,"num":1}]}]',
        ),
    ],
)
async def test_binary_goes_as_attachments(sockets: Running, packet: str, answer: str) -> None:
    async with connected(sockets) as socket:
        await socket.send(packet, b"\x01\x02\x03", b"\x04\x05\x06")
        assert [await socket.receive() for _ in range(3)] == [answer, b"\x01\x02\x03", b"\x04\x05\x06"]


async def test_a_client_leaves_one_namespace_and_stays_in_the_other(sockets: Running) -> None:
    async with connected(sockets) as socket:
        await socket.send("40/custom")
        await socket.receive()
        await socket.receive()
        await socket.send("41/custom", '42["message","still here"]')
        assert await socket.receive() == '42["message-back","still here"]'
        await socket.send('42/custom,["message","not any more"]')
        await socket.closed()


async def test_a_client_that_has_left_may_come_back(sockets: Running) -> None:
    async with connected(sockets) as socket:
        await socket.send("41", "40")
        assert str(await socket.receive()).startswith('40{"sid":"')


MALFORMED = [
    "4abc",
    "4",
    "47",
    "4-1",
    "42",
    "42{}",
    "42[]",
    '42"message"',
    "42[true]",
    "42[null]",
    '42[{"message":1}]',
    '42["message"',
    '42["message"]]',
    '42["message",NaN]',
    '42["message",Infinity]',
    '42["message",1e999]',
    '42["message","\\ud800"]',
    '42abc["message-with-ack",1]',
    '42-1["message"]',
    '421.5["message"]',
    '421234567890123456["message"]',
    '42["connect",{},{}]',
    '42["connect_error"]',
    '42["disconnect","x"]',
    '42["disconnecting"]',
    '42["newListener"]',
    '42["removeListener"]',
    "42" + "[" * 200_000,
    '42["message",' + '{"a":' * 200 + "1" + "}" * 200 + "]",
    "40",
    "40[]",
    "40null",
    '40"x"',
    "41{}",
    "43{}",
    "43",
    '44{"message":"no"}',
    '44"no"',
    '45["message"]',
    '450-["message"]',
    '45-["message"]',
    '4511-["message"]',
    '4545999999-["message"]',
    '45999999999999999999-["message"]',
    '451-["message",{"_placeholder":true,"num":1}]',
    '451-["message",{"_placeholder":true,"num":-1}]',
    '451-["message",{"_placeholder":true,"num":"0"}]',
    '451-["message",{"_placeholder":true,"num":0.5}]',
    '451-["message",{"_placeholder":true,"num":true}]',
    '451-["message",{"_placeholder":true}]',
    '451-["connect",{"_placeholder":true,"num":0}]',
    "461-{}",
    '42/custom,["message"]',
    '42/nowhere,["message"]',
    b"\x00",
]


@pytest.mark.parametrize("packet", MALFORMED, ids=lambda packet: str(packet)[:30])
async def test_a_malformed_packet_closes_the_connection_at_once(
    sockets: Running, packet: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(sockets) as socket:
        await socket.send(packet)
        async with within(5):
            assert await socket.closed() == 1002
    assert sockets.incidents == {IncidentKind.MALFORMED_PACKET: 1}
    assert caplog.records == []


@pytest.mark.parametrize("packet", ["4abc", "41", "43[]", "42[]", '42["message"]', b"\x00"])
async def test_a_client_that_has_not_connected_may_send_nothing_else(sockets: Running, packet: str | bytes) -> None:
    async with sockets.session() as socket:
        await socket.send(packet)
        async with within(5):
            assert await socket.closed() == 1002


@pytest.mark.parametrize("packet", ['42["message"]', "41", "40/custom", "4abc"])
async def test_text_in_place_of_an_attachment_closes(sockets: Running, packet: str) -> None:
    async with connected(sockets) as socket:
        await socket.send('452-["message",{"_placeholder":true,"num":0}]', b"\x00", packet)
        assert await socket.closed() == 1002


async def test_one_attachment_too_many_closes(sockets: Running) -> None:
    async with connected(sockets) as socket:
        await socket.send('451-["message",{"_placeholder":true,"num":0}]', b"\x00", b"\x01")
        assert [await socket.receive() for _ in range(2)][1] == b"\x00"
        assert await socket.closed() == 1002


async def test_an_unexpected_acknowledgement_is_ignored(sockets: Running) -> None:
    async with connected(sockets) as socket:
        await socket.send("4312[]", '461-13[{"_placeholder":true,"num":0}]', b"\x00", '42["message"]')
        assert await socket.receive() == '42["message-back"]'


async def test_an_unknown_event_is_ignored(sockets: Running) -> None:
    async with connected(sockets) as socket:
        await socket.send('42["whatever",1]', '42[7,"a number is a name, too"]', '4299["whatever"]', '42["message"]')
        assert await socket.receive() == '42["message-back"]'


async def test_the_same_is_spoken_over_polling(sockets: Running) -> None:
    sid = await sockets.open_polling()
    await sockets.post(sid, '40{"a":1}\x1e451-7["message-with-ack",{"_placeholder":true,"num":0}]\x1ebAQID')
    packets: list[str] = []
    while len(packets) < 4:
        status, payload = await sockets.get(sid)
        assert status == 200
        packets += payload.split("\x1e")
    connect, *rest = packets
    assert connect.startswith('40{"sid":"')
    assert rest == ['42["auth",{"a":1}]', '461-7[{"_placeholder":true,"num":0}]', "bAQID"]


async def test_a_malformed_packet_over_polling_ends_the_session(sockets: Running) -> None:
    sid = await sockets.open_polling()
    assert (await sockets.post(sid, "40\x1e42{}"))[0] == 400
    assert (await sockets.get(sid))[0] == 400
