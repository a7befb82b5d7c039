"""A websocket client's frames: whole, in pieces, and malformed."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.wire.frame_reader import Close, FrameReader, Message, Ping, Pong, Violation
from services.gateway.wire.websocket import CloseCode
from tests.unit.websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

LIMIT = 1000


def read(*chunks: bytes, limit: int = LIMIT) -> list[Message]:
    """Read as the connection does, and look that each frame was announced before it was read."""
    reader = FrameReader(limit)
    messages = []
    for chunk in chunks:
        reader.feed(chunk)
        while True:
            begun = reader.next_frame()
            assert not (begun and reader.next_frame()), "a frame is announced once"
            if not reader.is_complete:
                break
            message = reader.read()
            if message is not None:
                messages.append(message)
    return messages


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"", []),
        (frame(TEXT, b"hello"), ["hello"]),
        (frame(TEXT, b""), [""]),
        (frame(TEXT, "ünï\N{PILE OF POO}".encode()), ["ünï\N{PILE OF POO}"]),
        (frame(BINARY, b"\x00\xff"), [b"\x00\xff"]),
        (frame(BINARY, b"x" * 126), [b"x" * 126]),
        (frame(BINARY, b"x" * LIMIT), [b"x" * LIMIT]),
        (frame(TEXT, b"a") + frame(TEXT, b"b"), ["a", "b"]),
        (frame(PING, b"p") + frame(PONG, b"q"), [Ping(b"p"), Pong(b"q")]),
        (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b"), ["ab"]),
        (
            frame(TEXT, b"a", fin=False) + frame(PING, b"") + frame(CONTINUATION, b"", fin=False) + frame(0, b"b"),
            [Ping(b""), "ab"],
        ),
        (frame(TEXT, "ü".encode()[:1], fin=False) + frame(CONTINUATION, "ü".encode()[1:]), ["ü"]),
        (frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 62 + frame(0, b"x"), [b"x"]),
        ((frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b")) * 40, ["ab"] * 40),
        (frame(CLOSE, b""), [Close(None, "")]),
        (frame(CLOSE, b"\x03\xe8bye"), [Close(1000, "bye")]),
        (frame(CLOSE, b"\x0f\xa0"), [Close(4000, "")]),
        (frame(CLOSE, b"") + frame(TEXT, b"never read"), [Close(None, "")]),
    ],
)
def test_messages_are_read(data: bytes, messages: Sequence[Message]) -> None:
    assert read(data) == messages
    assert read(*(data[at : at + 1] for at in range(len(data)))) == messages


PROTOCOL_ERROR, TOO_BIG, INVALID_TEXT = CloseCode.PROTOCOL_ERROR, CloseCode.TOO_BIG, CloseCode.INVALID_TEXT


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01a", PROTOCOL_ERROR),
        (frame(TEXT, b"a", rsv=4), PROTOCOL_ERROR),
        (frame(TEXT, b"a", rsv=1), PROTOCOL_ERROR),
        (frame(3, b"a"), PROTOCOL_ERROR),
        (frame(7, b"a"), PROTOCOL_ERROR),
        (frame(11, b"a"), PROTOCOL_ERROR),
        (frame(15, b"a"), PROTOCOL_ERROR),
        (frame(CONTINUATION, b"a"), PROTOCOL_ERROR),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), PROTOCOL_ERROR),
        (frame(PING, b"", fin=False), PROTOCOL_ERROR),
        (frame(PING, b"x" * 126), PROTOCOL_ERROR),
        (frame(CLOSE, b"x" * 126), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x00\x00"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x03\xe7"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x03\xed"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x03\xee"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x07\xd0"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x13\x88"), PROTOCOL_ERROR),
        (frame(CLOSE, b"\x03\xe8\xff"), INVALID_TEXT),
        (frame(TEXT, b"\xff"), INVALID_TEXT),
        (frame(TEXT, b"\xed\xa0\x80"), INVALID_TEXT),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"("), INVALID_TEXT),
        (frame(TEXT, b"x" * (LIMIT + 1)), TOO_BIG),
        (frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"x"), TOO_BIG),
        (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"", fin=False) * 63 + frame(0, b"b"), CloseCode.POLICY),
    ],
)
def test_violations_are_named_and_end_the_reading(data: bytes, code: CloseCode) -> None:
    before, after = frame(PING, b"before"), frame(TEXT, b"after")
    for chunks in ([before + data + after], [bytes([byte]) for byte in before + data + after]):
        messages = read(*chunks)
        assert messages[0] == Ping(b"before")
        assert isinstance(messages[-1], Violation)
        assert messages[-1].code is code
        assert len(messages) == 2


def test_a_frame_is_announced_by_its_header_before_its_payload_is_there() -> None:
    reader = FrameReader(LIMIT)
    data = frame(BINARY, b"x" * LIMIT)
    reader.feed(data[:7])
    assert not reader.next_frame()
    reader.feed(data[7:9])
    assert (reader.next_frame(), reader.is_complete) == (True, False)
    reader.feed(data[9:])
    assert (reader.next_frame(), reader.is_complete, reader.read()) == (False, True, b"x" * LIMIT)


def test_after_stop_nothing_is_kept_or_read() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(TEXT, b"a") + frame(TEXT, b"b"))
    assert reader.next_frame()
    reader.stop()
    reader.feed(frame(TEXT, b"c"))
    assert (reader.unread, reader.next_frame(), reader.is_complete, reader.read()) == (0, False, False, None)


@pytest.mark.parametrize("size", [1, 7])
def test_a_large_frame_that_comes_in_crumbs_costs_no_more_than_its_bytes(size: int) -> None:
    limit = 2_000_000  # quadratic, this would be 10^12 bytes to copy
    data = frame(BINARY, b"x" * 100) + frame(BINARY, bytes(limit), mask=bytes(4))
    crumbs = [data[at : at + size] for at in range(0, len(data), size)]
    assert read(*crumbs, limit=limit) == [b"x" * 100, bytes(limit)]


def test_many_small_frames_in_one_piece_are_not_copied_once_for_each() -> None:
    assert read(frame(PING, b"") + frame(PONG, b"") * 100_000) == [Ping(b""), *[Pong(b"")] * 100_000]
    data = frame(PONG, b"") * 100_000
    assert read(data[:1], data[1:]) == [Pong(b"")] * 100_000


def test_a_message_that_is_too_big_is_refused_by_its_header() -> None:
    (violation,) = read(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4))
    assert isinstance(violation, Violation)
    assert violation.code is TOO_BIG


@given(payload=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_any_mask_is_taken_off(payload: bytes, mask: bytes) -> None:
    assert read(frame(BINARY, payload, mask=mask)) == [payload]


MESSAGES = st.lists(st.binary(max_size=200), max_size=8)


@given(MESSAGES, st.lists(st.integers(0, 2000)))
def test_however_messages_are_cut_they_come_out_whole(payloads: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frame(BINARY, payload) for payload in payloads)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert read(*(data[begin:end] for begin, end in pairwise(edges))) == payloads


@given(st.binary(max_size=400), st.lists(st.integers(0, 400)))
def test_the_result_is_the_same_however_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(edges)]
    assert read(*pieces) == read(data)
