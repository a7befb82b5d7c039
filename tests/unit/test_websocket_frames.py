"""The server's frames over a websocket."""

import pytest

from services.gateway.wire.websocket import (
    InvalidKey,
    accept_key,
    binary_frame,
    close_frame,
    pong_frame,
    text_frame,
)


def test_the_accept_key_is_that_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("key", ["", "x", "dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "dGhlIHNhbXBs ZSBub25jZQ==", "ü" * 24])
def test_a_key_that_is_not_sixteen_bytes_in_base64_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        accept_key(key)


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_frame_has_the_shortest_header_and_no_mask(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert text_frame(payload) == header + payload
    assert binary_frame(payload) == bytes([0x82]) + header[1:] + payload


def test_a_pong_carries_the_payload_of_the_ping() -> None:
    assert pong_frame(b"abc") == b"\x8a\x03abc"


@pytest.mark.parametrize(
    ("code", "reason", "frame"),
    [
        (None, "", b"\x88\x00"),
        (1000, "", b"\x88\x02\x03\xe8"),
        (1008, "too fast", b"\x88\x0a\x03\xf0too fast"),
        (1000, "x" * 200, b"\x88\x7d\x03\xe8" + b"x" * 123),
        (1000, "ä" * 100, b"\x88\x7c\x03\xe8" + "ä".encode() * 61),
    ],
)
def test_a_close_frame_says_why_as_far_as_there_is_room(code: int | None, reason: str, frame: bytes) -> None:
    assert close_frame(code, reason) == frame
