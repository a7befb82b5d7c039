"""A moving picture has the frames of the stills that it is made of, each for its time."""

import struct

import pytest

from bench.moving_picture import Frame, moving


def still(bitstream: bytes, *before: bytes) -> bytes:
    chunks = b"".join([*before, b"VP8 " + struct.pack("<I", len(bitstream)) + bitstream + b"\0" * (len(bitstream) % 2)])
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 4)[0]
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def test_each_frame_has_its_bitstream_and_its_time_and_equal_ones_are_one() -> None:
    extra = b"VP8X" + struct.pack("<I", 10) + bytes(10)
    frames = [Frame(still(b"one"), 100), Frame(still(b"one"), 150), Frame(still(b"four", extra), 70_000)]
    picture = moving(frames, 900, 562)
    assert picture[:4] == b"RIFF"
    assert struct.unpack_from("<I", picture, 4)[0] == len(picture) - 8
    assert picture[8:12] == b"WEBP"
    (name, header), (_, animation), *shown = chunks(picture[12:])
    assert name == b"VP8X"
    assert header == bytes([2, 0, 0, 0]) + (899).to_bytes(3, "little") + (561).to_bytes(3, "little")
    assert animation[4:] == b"\0\0", "repeated for ever"
    assert [(name, int.from_bytes(frame[12:15], "little")) for name, frame in shown] == [
        (b"ANMF", 250),
        (b"ANMF", 70_000),
    ]
    assert [chunks(frame[16:]) for _, frame in shown] == [[(b"VP8 ", b"one")], [(b"VP8 ", b"four")]]


@pytest.mark.parametrize("wrong", [b"", b"\x89PNG\r\n\x1a\n" + bytes(20), b"RIFF\x04\0\0\0WEBP"])
def test_what_is_no_picture_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="this"):
        moving([Frame(wrong, 1)], 1, 1)
