"""The watcher's own count of the log follows what was appended and trimmed, and says how much fits into a bound."""

import random

import pytest

from services.watcher.log_size import LogSize, memory_of


@pytest.mark.parametrize(
    ("events", "content", "counted"),
    [(1, 0, 100), (1, 800, 900), (10, 8_000, 9_000), (1, 8_000, 9_000), (1, 1 << 20, (1 << 20) * 9 // 8)],
)
def test_entries_take_more_than_their_content(events: int, content: int, counted: int) -> None:
    assert memory_of(events, content) == counted


def test_it_counts_like_a_list_of_all_entries() -> None:
    chance = random.Random(4)
    size, entries = LogSize(), list[int]()
    for _ in range(300):
        events, each = chance.randrange(100), chance.choice((10, 300, 9_000, 500_000))
        size.add(events, events * each)
        entries += [memory_of(1, each)] * events
        dropped = chance.randrange(len(entries) + 1)
        size.drop(dropped)
        del entries[:dropped]
        assert size.events == len(entries)
        # Within a chunk, of two batches at most, it knows the mean only.
        assert size.bytes == pytest.approx(sum(entries), abs=200 * memory_of(1, 500_000))
    size.drop(size.events)
    assert (size.events, size.bytes) == (0, 0)


def test_what_fits_is_the_newest_part() -> None:
    size = LogSize()
    for _ in range(100):
        size.add(10, 8_000)
    size.add(100, 9_000_000)
    each, large = memory_of(1, 800), memory_of(1, 90_000)
    assert size.bytes == 1_000 * each + 100 * large
    assert size.fitting(size.bytes) == 1_100
    assert size.fitting(100 * large + 500 * each) == 600
    assert size.fitting(100 * large) == 100
    assert size.fitting(50 * large) == 50
    assert size.fitting(0) == size.fitting(-5) == 0
    size.drop(size.events - size.fitting(100 * large + 500 * each))
    assert (size.events, size.bytes) == (600, 100 * large + 500 * each)


def test_what_was_there_before_counts_by_its_mean() -> None:
    size = LogSize()
    size.reset(1_000, 1_000_000)
    size.add(10, 9_000)
    size.add(0, 0)
    added = memory_of(10, 9_000)
    assert (size.events, size.bytes) == (1_010, 1_000_000 + added)
    assert size.fitting(500_000 + added) == 510
    size.drop(500)
    assert size.bytes == 500_000 + added
    size.drop(5_000)
    assert (size.events, size.bytes) == (0, 0)
    size.reset()
    assert size.fitting(10) == 0
