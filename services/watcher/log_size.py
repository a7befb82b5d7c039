"""Counts the changes and bytes of the log in Redis: to measure them there would take Redis ten milliseconds."""

from collections import deque

_CHUNK = 100  # changes that are counted together, and the rest of a batch
# Per entry: its position, that of its predecessor, field names, and what the allocator rounds up.
_OVERHEAD = 100
_ROUNDED = 8


def memory_of(events: int, content: int) -> int:
    """Return about how many bytes so many entries take in Redis whose envelopes and images have ``content`` bytes."""
    return content + max(_OVERHEAD * events, content // _ROUNDED)


class _Chunk:
    __slots__ = ("bytes", "events")

    def __init__(self, events: int, bytes: int) -> None:
        self.events = events
        self.bytes = bytes


class LogSize:
    """The size of one log, in chunks, the oldest first. What was there before is one: only its mean is known."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self._chunks: deque[_Chunk] = deque()

    def reset(self, events: int = 0, bytes: int = 0) -> None:
        """Begin with a log of so many entries and bytes."""
        self.events, self.bytes = events, bytes
        self._chunks = deque([_Chunk(events, bytes)] if events else [])

    def add(self, events: int, content: int) -> None:
        """Count appended entries whose envelopes and images have so many bytes together."""
        if not events:
            return
        if not self._chunks or self._chunks[-1].events >= _CHUNK:
            self._chunks.append(_Chunk(0, 0))
        last, size = self._chunks[-1], memory_of(events, content)
        last.events += events
        last.bytes += size
        self.events += events
        self.bytes += size

    def drop(self, events: int) -> None:
        """Count so many trimmed entries, the oldest."""
        left = min(events, self.events)
        self.events -= left
        while left:
            oldest = self._chunks[0]
            if oldest.events <= left:
                self._chunks.popleft()
                left -= oldest.events
                self.bytes -= oldest.bytes
            else:
                part = oldest.bytes * left // oldest.events
                oldest.events -= left
                oldest.bytes -= part
                self.bytes -= part
                left = 0

    def fitting(self, most_bytes: int) -> int:
        """Return how many of the newest entries fit into so many bytes."""
        events, excess = self.events, self.bytes - most_bytes
        for oldest in self._chunks:
            if excess <= 0:
                break
            if oldest.bytes > excess:
                events -= -(-excess * oldest.events // oldest.bytes)
                break
            events -= oldest.events
            excess -= oldest.bytes
        return events
