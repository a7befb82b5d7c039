"""Packets of Engine.IO, one by one and in payloads."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.wire import engineio
from services.gateway.wire.engineio import (
    EnginePacket,
    EnginePacketType,
    MalformedEnginePacket,
    parse_packet,
    split_payload,
)


@pytest.mark.parametrize(
    ("encoded", "packet"),
    [
        ("4hello", EnginePacket(EnginePacketType.MESSAGE, "hello")),
        ("4", EnginePacket(EnginePacketType.MESSAGE, "")),
        ("2", EnginePacket(EnginePacketType.PING)),
        ("2probe", EnginePacket(EnginePacketType.PING, "probe")),
        ("3", EnginePacket(EnginePacketType.PONG)),
        ("1", EnginePacket(EnginePacketType.CLOSE)),
        ("5", EnginePacket(EnginePacketType.UPGRADE)),
        ("6", EnginePacket(EnginePacketType.NOOP)),
        ('0{"sid":"x"}', EnginePacket(EnginePacketType.OPEN, '{"sid":"x"}')),
        ("bAQIDBA==", EnginePacket(EnginePacketType.MESSAGE, b"\x01\x02\x03\x04")),
        ("b", EnginePacket(EnginePacketType.MESSAGE, b"")),
        (b"\x01\x02", EnginePacket(EnginePacketType.MESSAGE, b"\x01\x02")),
        (b"", EnginePacket(EnginePacketType.MESSAGE, b"")),
    ],
)
def test_packets_are_read(encoded: str | bytes, packet: EnginePacket) -> None:
    assert parse_packet(encoded) == packet


@pytest.mark.parametrize("encoded", ["", "7", "a", "B", " 4", "-1", "b!", "bA", "bAQID\n", "bü", "\u0664"])
def test_a_malformed_packet_is_refused(encoded: str) -> None:
    with pytest.raises(MalformedEnginePacket):
        parse_packet(encoded)


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"4a", ["4a"]),
        (b"4a\x1e4b\x1ebAA==", ["4a", "4b", "bAA=="]),
        ("4ü".encode(), ["4ü"]),
        (b"", [""]),
        (b"\x1e", ["", ""]),
    ],
)
def test_payloads_are_split(body: bytes, packets: list[str]) -> None:
    assert list(split_payload(body)) == packets


def test_a_payload_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(MalformedEnginePacket):
        next(split_payload(b"4\xff"))


@given(st.binary(max_size=200))
def test_binary_survives_as_base64(data: bytes) -> None:
    packet = engineio.base64_packet(data)
    assert parse_packet(packet.decode()) == EnginePacket(EnginePacketType.MESSAGE, data)
    assert engineio.binary_of(packet) == data
    assert packet[1:] == base64.b64encode(data)


@given(st.text(max_size=50))
def test_any_text_is_a_packet_or_malformed(text: str) -> None:
    with suppress(MalformedEnginePacket):
        parse_packet(text)


def test_the_handshake_gives_times_in_milliseconds() -> None:
    packet = engineio.open_packet("x", upgrades=["websocket"], ping_interval=0.3, ping_timeout=20, max_payload=5)
    assert packet[:1] == b"0"
    assert json.loads(packet[1:]) == {
        "sid": "x",
        "upgrades": ["websocket"],
        "pingInterval": 300,
        "pingTimeout": 20_000,
        "maxPayload": 5,
    }
