"""The content codings of answers, and the choice of one by `Accept-Encoding`."""

import re
import sys
import zlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Protocol

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


_QUALITY = re.compile(r"(?:^|;)\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE | re.ASCII)
_MOST = 50  # entries that are looked at; browsers send a handful


class Coding(StrEnum):
    """The codings, the preferred one first: of several that a client likes equally, the one that costs least."""

    ZSTD = "zstd"
    BR = "br"
    GZIP = "gzip"


class Encoder(Protocol):
    """Encodes one body, piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Return as much as is ready."""

    def flush(self) -> bytes:
        """Return the end."""


class _Brotli:
    def __init__(self) -> None:
        self._encoder = brotli.Compressor(quality=4)

    def compress(self, data: bytes, /) -> bytes:
        """Return as much as is ready."""
        encoded: bytes = self._encoder.process(data)
        return encoded

    def flush(self) -> bytes:
        """Return the end."""
        rest: bytes = self._encoder.finish()
        return rest


# The levels from which on more time saves little: `python -m bench compression`.
_ENCODERS: dict[Coding, Callable[[], Encoder]] = {
    Coding.ZSTD: lambda: zstd.ZstdCompressor(level=3),
    Coding.BR: _Brotli,
    Coding.GZIP: lambda: zlib.compressobj(4, zlib.DEFLATED, 31),
}


def encoder(coding: Coding) -> Encoder:
    """Return a new encoder."""
    return _ENCODERS[coding]()


def encode(body: bytes, coding: Coding) -> bytes:
    """Return the whole body, encoded."""
    one = encoder(coding)
    return one.compress(body) + one.flush()


def chosen(lines: Iterable[str], among: Iterable[Coding] = Coding) -> Coding | None:
    """Return the coding that these lines of `Accept-Encoding` prefer; None where the body is best sent as it is."""
    wanted = _weights(lines)
    of_others = wanted.get("*", 0.0)
    best = max(among, key=lambda coding: wanted.get(coding, of_others))
    weight = wanted.get(best, of_others)
    # `identity` is as good as any coding unless it is named: only then somebody prefers it.
    return best if weight > 0 and weight >= wanted.get("identity", 0.0) else None


def _weights(lines: Iterable[str]) -> dict[str, float]:
    """Return each entry's weight, by its name in lower case and without parameters; the largest of equal ones."""
    found: dict[str, float] = {}
    for entry in ",".join(lines).split(",", _MOST)[:_MOST]:
        name, _, parameters = entry.partition(";")
        if name := name.strip().lower():
            quality = _QUALITY.search(parameters)
            found[name] = max(found.get(name, 0.0), 1.0 if quality is None else float(quality[1]))
    return found
