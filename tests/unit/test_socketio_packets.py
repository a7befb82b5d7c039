"""Packets of Socket.IO: tables of valid and malformed ones, and the cases that hypothesis finds."""

import json
from contextlib import suppress
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.wire import socketio
from services.gateway.wire.socketio import (
    MalformedSocketPacket,
    PacketLimits,
    SocketPacket,
    SocketPacketType,
    attach,
    parse_packet,
)

LIMITS = PacketLimits(max_attachments=10, max_depth=32)
EVENT, ACK = SocketPacketType.EVENT, SocketPacketType.ACK
HOLE: dict[str, Any] = {"_placeholder": True, "num": 0}
HOLE_2 = b'{"_placeholder":true,"num":2}'
NO_INDEX: list[object] = [1, -1, 10**9, 0.0, "0", None, True, [0], {}]


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", SocketPacket(SocketPacketType.CONNECT, "/", None, None)),
        ('0{"a":1}', SocketPacket(SocketPacketType.CONNECT, "/", None, {"a": 1})),
        ("0/admin", SocketPacket(SocketPacketType.CONNECT, "/admin", None, None)),
        ('0/admin?x=1,{"a":1}', SocketPacket(SocketPacketType.CONNECT, "/admin?x=1", None, {"a": 1})),
        ("1", SocketPacket(SocketPacketType.DISCONNECT, "/", None, None)),
        ("1/admin,", SocketPacket(SocketPacketType.DISCONNECT, "/admin", None, None)),
        ('2["a"]', SocketPacket(EVENT, "/", None, ["a"])),
        ('2["a",1,2.5,null,true,{"b":[]}]', SocketPacket(EVENT, "/", None, ["a", 1, 2.5, None, True, {"b": []}])),
        ('212["a"]', SocketPacket(EVENT, "/", 12, ["a"])),
        ('20["a"]', SocketPacket(EVENT, "/", 0, ["a"])),
        ('2/admin,12["a"]', SocketPacket(EVENT, "/admin", 12, ["a"])),
        ("2[7]", SocketPacket(EVENT, "/", None, [7])),
        ('2[""]', SocketPacket(EVENT, "/", None, [""])),
        ('2["error"]', SocketPacket(EVENT, "/", None, ["error"])),
        ("312[]", SocketPacket(ACK, "/", 12, [])),
        ("3/admin,12[1]", SocketPacket(ACK, "/admin", 12, [1])),
        (
            '51-["a",{"_placeholder":true,"num":0}]',
            SocketPacket(SocketPacketType.BINARY_EVENT, "/", None, ["a", HOLE], 1),
        ),
        ('52-/n,9["a"]', SocketPacket(SocketPacketType.BINARY_EVENT, "/n", 9, ["a"], 2)),
        ('61-9[{"_placeholder":true,"num":0}]', SocketPacket(SocketPacketType.BINARY_ACK, "/", 9, [HOLE], 1)),
        # In a packet without attachments it is a dictionary like any other.
        (
            '2["a",{"_placeholder":true,"num":-1}]',
            SocketPacket(EVENT, "/", None, ["a", {"_placeholder": True, "num": -1}]),
        ),
        ('2["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\"["]', SocketPacket(EVENT, "/", None, ["[" * 41 + '"['])),
    ],
)
def test_packets_are_read(text: str, packet: SocketPacket) -> None:
    assert parse_packet(text, LIMITS) == packet


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "7",
            "x",
            "-",
            " 2",
            "\u0662",
            "2",
            "2{}",
            "2[]",
            "2null",
            '2"a"',
            "2[null]",
            "2[true]",
            "2[[]]",
            "2[{}]",
        ],
        *['2["a"', '2["a"]x', '2["a"],', "2['a']", '2["a",]', '2["a",NaN]', '2["a",-Infinity]', '2["a",1e999]'],
        *['2["a",01]', '2["a",+1]', '2["a","\\ud800"]', '2["a","\ud800"]', '2["a","\n"]', '2["a",undefined]'],
        *['2abc["a"]', '2 1["a"]', '2-1["a"]', '21.0["a"]', '2\u0661["a"]', '29007199254740993000["a"]'],
        *[f'2["{name}"]' for name in sorted(socketio.RESERVED_EVENTS)],
        *["0[]", '0"x"', "0null", "0tru", "1{}", "1[]", "3", "3{}", "3null", "4", '4{"message":"x"}', '4"x"'],
        *['5["a"]', '50-["a"]', '5-["a"]', '5-1-["a"]', '511-["a"]', '5999999999999-["a"]', '51["a"]', '51.5-["a"]'],
        *["51-", "51-{}", '51-["connect"]', "61-", "61-{}", '21-["a"]', '5\u0661-["a"]'],
        *[f'51-["a",{json.dumps({"_placeholder": True, "num": num})}]' for num in NO_INDEX],
        '51-["a",{"_placeholder":true}]',
        '51-["a",[{"x":{"_placeholder":true,"num":1}}]]',
        '2["a",' + "[" * 32 + "]" * 32 + "]",
        '2["a",' + '{"a":' * 32 + "1" + "}" * 32 + "]",
    ],
)
def test_a_malformed_packet_is_refused(text: str) -> None:
    with pytest.raises(MalformedSocketPacket):
        parse_packet(text, LIMITS)


def test_the_deepest_allowed_packet_is_read() -> None:
    assert parse_packet('2["a",' + "[" * 31 + "]" * 31 + "]", LIMITS).type is EVENT


def test_no_attachments_can_be_allowed() -> None:
    with pytest.raises(MalformedSocketPacket):
        parse_packet('51-["a",{"_placeholder":true,"num":0}]', PacketLimits(0, 32))


@pytest.mark.parametrize(
    "text",
    [
        "2" + "[" * 200_000,
        "2" + '{"a":' * 200_000,
        '2["' + '\\"' * 100_000,
        '2["a",' + '"\\' * 100_000,
        '2["a",' + "[]," * 60_000 + "1]",
        '2["a","' + "[" * 200_000 + '"]',
        '2["a",' + "[]," * 40 + '"\\' * 90_000,
        '2["a",' + "[]," * 40 + '"' + '\\"' * 90_000,
        "2/" + "n" * 200_000,
        "2" + "9" * 200_000,
        "5" + "9" * 200_000 + '-["a"]',
        '2["a",' + "9" * 200_000 + "]",
    ],
    ids=lambda text: text[:12],
)
def test_nothing_of_200_kb_takes_long(text: str) -> None:
    began = thread_time()
    for _ in range(20):
        with suppress(MalformedSocketPacket):
            parse_packet(text, LIMITS)
    assert thread_time() - began < 5  # seconds of CPU; quadratic work takes some each time


def test_attachments_take_their_places() -> None:
    packet = parse_packet(
        '52-["a",{"_placeholder":true,"num":1},{"x":[{"_placeholder":true,"num":0}],"_placeholder":false}]', LIMITS
    )
    assert attach(packet.data, [b"zero", b"one"]) == ["a", b"one", {"x": [b"zero"], "_placeholder": False}]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)
values = st.recursive(json_values | st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4), max_leaves=8)
namespaces = st.sampled_from(["/", "/admin", "/ü"])
names = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda name: name not in socketio.RESERVED_EVENTS)


@given(namespace=namespaces, name=names, args=st.lists(values, max_size=4))
def test_an_event_survives_the_way_there_and_back(namespace: str, name: str, args: list[Any]) -> None:
    text, *attachments = socketio.event_packets(namespace, name, args)
    packet = parse_packet(text.decode(), PacketLimits(100, 100))
    assert packet[:3] == (SocketPacketType.BINARY_EVENT if attachments else EVENT, namespace, None)
    assert packet.attachments == len(attachments)
    assert attach(packet.data, attachments) == [name, *args]


@given(namespace=namespaces, id=st.integers(0, 10**15 - 1), args=st.lists(values, max_size=4))
def test_an_acknowledgement_survives_too(namespace: str, id: int, args: list[Any]) -> None:
    text, *attachments = socketio.ack_packets(namespace, id, args)
    packet = parse_packet(text.decode(), PacketLimits(100, 100))
    assert (packet.namespace, packet.id) == (namespace, id)
    assert attach(packet.data, attachments) == args


@given(st.text(max_size=60) | st.from_regex(r'[0-6][0-9]?-?(/[a-z]*,?)?[0-9]*[\[{"a\-,:}\]0-9_]*', fullmatch=True))
def test_any_text_is_a_packet_or_malformed(text: str) -> None:
    try:
        packet = parse_packet(text, LIMITS)
    except MalformedSocketPacket:
        return
    assert packet.attachments <= 10
    attach(packet.data, [b""] * packet.attachments)


@pytest.mark.parametrize(
    ("packets", "encoded"),
    [
        ([socketio.connect_packet("/", "s")], [b'0{"sid":"s"}']),
        ([socketio.connect_packet("/n", "s", {"pid": "p"})], [b'0/n,{"sid":"s","pid":"p"}']),
        ([socketio.connect_error_packet("/n", "no")], [b'4/n,{"message":"no"}']),
        ([socketio.connect_error_packet("/", "no", {"a": 1})], [b'4{"message":"no","data":{"a":1}}']),
        ([socketio.disconnect_packet("/")], [b"1"]),
        ([socketio.disconnect_packet("/n")], [b"1/n,"]),
        (socketio.event_packets("/", "a", [1, "ü"]), ['2["a",1,"ü"]'.encode()]),
        (socketio.event_packets("/", "a", [float("nan"), float("inf")]), [b'2["a",null,null]']),
        (
            socketio.event_packets("/n", "a", [b"x", {"k": bytearray(b"y")}, memoryview(b"z")]),
            [
                b'53-/n,["a",{"_placeholder":true,"num":0},{"k":{"_placeholder":true,"num":1}},%b]' % HOLE_2,
                b"x",
                b"y",
                b"z",
            ],
        ),
        ([socketio.encoded_event(b'"a"', b"{}", b'"c"')], [b'2["a",{},"c"]']),
        (socketio.ack_packets("/", 0, []), [b"30[]"]),
    ],
)
def test_packets_are_written(packets: list[bytes], encoded: list[bytes]) -> None:
    assert packets == encoded


@pytest.mark.parametrize("name", sorted(socketio.RESERVED_EVENTS))
def test_the_server_may_not_use_reserved_names_either(name: str) -> None:
    with pytest.raises(MalformedSocketPacket):
        socketio.event_packets("/", name, [])
