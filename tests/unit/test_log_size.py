"""The watcher's own count of the log follows what was appended and trimmed, and says how much fits into a bound."""

import random

import pytest

from services.watcher.log_size import LogSize, entry_bytes


@pytest.mark.parametrize(("content", "counted"), [(0, 100), (800, 900), (8_000, 9_000), (1 << 20, (1 << 20) * 9 // 8)])
def test_an_entry_takes_more_than_its_content(content: int, counted: int) -> None:
    assert entry_bytes(content) == counted


def test_it_counts_like_a_list_of_all_entries() -> None:
    chance = random.Random(4)
    size, entries = LogSize(), list[int]()
    for _ in range(300):
        added = [chance.choice((10, 300, 9_000, 500_000)) for _ in range(chance.randrange(150))]
        size.add(added)
        entries += map(entry_bytes, added)
        assert size.events == len(entries)
        dropped = chance.randrange(len(entries) + 1)
        size.drop(dropped)
        del entries[:dropped]
        assert size.events == len(entries)
        # Within a chunk, which is a hundred entries, it knows the mean only.
        assert size.bytes == pytest.approx(sum(entries), abs=100 * entry_bytes(500_000))
    size.drop(size.events)
    assert (size.events, size.bytes) == (0, 0)


def test_what_fits_is_the_newest_part() -> None:
    size = LogSize()
    size.add([900] * 1_000)  # a thousand bytes each, and more
    size.add([90_000] * 100)
    each, large = entry_bytes(900), entry_bytes(90_000)
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
    size.add([900] * 10)
    assert (size.events, size.bytes) == (1_010, 1_000_000 + 10 * entry_bytes(900))
    assert size.fitting(500_000 + 10 * entry_bytes(900)) == 510
    size.drop(500)
    assert size.bytes == 500_000 + 10 * entry_bytes(900)
    size.drop(5_000)
    assert (size.events, size.bytes) == (0, 0)
    size.reset()
    assert size.fitting(10) == 0
