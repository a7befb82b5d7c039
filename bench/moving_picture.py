"""Puts still WebP pictures together into a moving one, without a codec: each frame is a still's own bitstream.

The container is described at https://developers.google.com/speed/webp/docs/riff_container.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_ANIMATION = 0x02  # flag of VP8X
# As bits: do not blend with the frame before, do not dispose of this one. Each covers the whole picture.
_NO_BLENDING = 0x02
_BITSTREAMS = (b"VP8 ", b"VP8L")


class Frame(NamedTuple):
    """A still WebP picture, and for how many milliseconds it is shown."""

    still: bytes
    milliseconds: int


def moving(frames: Sequence[Frame], width: int, height: int) -> bytes:
    """Return an animated WebP of these frames, which all have this size in pixels, that is repeated for ever."""
    size = _three(width - 1) + _three(height - 1)
    body = _chunk(b"VP8X", bytes([_ANIMATION, 0, 0, 0]) + size)
    body += _chunk(b"ANIM", bytes([255, 255, 255, 255]) + struct.pack("<H", 0))
    for still, milliseconds in merged(frames):
        shown = _three(0) + _three(0) + size + _three(milliseconds) + bytes([_NO_BLENDING])
        body += _chunk(b"ANMF", shown + _bitstream(still))
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def merged(frames: Sequence[Frame]) -> Iterator[Frame]:
    """Yield the frames, equal ones that follow each other as one."""
    last: Frame | None = None
    for frame in frames:
        if last is not None and last.still == frame.still:
            last = Frame(last.still, last.milliseconds + frame.milliseconds)
            continue
        if last is not None:
            yield last
        last = frame
    if last is not None:
        yield last


def _bitstream(still: bytes) -> bytes:
    """Return the chunk that has the picture itself."""
    if still[:4] != b"RIFF" or still[8:12] != b"WEBP":
        raise ValueError("this is no WebP picture")
    at = 12
    while at + 8 <= len(still):
        name, length = still[at : at + 4], struct.unpack_from("<I", still, at + 4)[0]
        if name in _BITSTREAMS:
            return _chunk(name, still[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    raise ValueError("this WebP picture has no bitstream")


def _chunk(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _three(number: int) -> bytes:
    return struct.pack("<I", number)[:3]
