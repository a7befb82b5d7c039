"""The bytes that every client of one group must get: the first client records them, the others compare.

It makes checking every byte of every client as cheap as one comparison, so that one core can listen for thousands; the
events themselves (number, order, checksum) are then checked once, on the reference.
"""

import re
import zlib
from array import array
from dataclasses import dataclass, field

# A written order: `product_name` names the write and ends with the checksum of everything before it.
EVENT = re.compile(rb'"customer_name":"([^"]*)","product_name":"(bench-(\d+)-(\d+)-x*-)(\w{8})"')


@dataclass(slots=True)
class Reference:
    """One group's bytes. ``arrivals`` holds triples: a client's position before, its position after, and the time."""

    data: bytearray = field(default_factory=bytearray)
    arrivals: "array[float]" = field(default_factory=lambda: array("d"))
    _scanned: int = 0
    _events: int = 0

    def count(self) -> int:
        """The number of events that have come so far."""
        for match in EVENT.finditer(self.data, self._scanned):
            self._events += 1
            self._scanned = match.end()
        return self._events

    def positions(self) -> dict[tuple[int, int], int]:
        """Where each event ends, by writer and number."""
        ends = {}
        for match in EVENT.finditer(self.data):
            ends[int(match[3]), int(match[4])] = match.end()
        return ends

    def fault(self) -> str:
        """Return what is wrong with the events: a checksum, or the order of one writer's writes; empty if nothing."""
        last: dict[int, int] = {}
        for match in EVENT.finditer(self.data):
            if checksum(match[1] + match[2]) != match[5]:
                return f"wrong checksum in {match[2]!r}"
            writer, number = int(match[3]), int(match[4])
            if number <= last.get(writer, -1):
                return f"writer {writer}: {number} after {last[writer]}"
            last[writer] = number
        return ""


def checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
