"""The ring of newest events: without a hole, bounded, and honest about what it has forgotten."""

from services.common.cursor import Cursor, Position
from services.gateway.log import Log
from tests.stream_events import event, events, positions


def log_of(size: int, upto: int) -> Log:
    log = Log(size)
    log.begin("e1", Position(0, 0))
    log.append(events(1, upto))
    return log


def test_before_the_first_word_from_redis_there_is_no_cursor() -> None:
    assert Log(5).cursor is None


def test_what_is_appended_can_be_read_from_any_place() -> None:
    log = log_of(10, 5)
    assert log.cursor == Cursor("e1", Position(5, 0))
    assert positions(log.after(Position(0, 0), 100)) == [1, 2, 3, 4, 5]
    assert positions(log.after(Position(2, 7), 2)) == [3, 4]
    assert list(log.after(Position(5, 0), 100)) == []
    assert list(log.after(Position(99, 0), 100)) == []


def test_only_what_is_new_is_added_and_returned() -> None:
    log = log_of(10, 3)
    assert positions(log.append(events(2, 5))) == [4, 5]
    assert list(log.append(events(1, 5))) == []
    assert list(log.append([])) == []
    assert positions(log.after(Position(0, 0), 100)) == [1, 2, 3, 4, 5]


def test_the_log_holds_at_least_its_size_and_at_most_twice_that() -> None:
    log = log_of(10, 0)
    for number in range(1, 200):
        log.append(events(number, number))
        assert min(number, 10) <= len(log) <= 20
        assert log.position == Position(number, 0)


def test_one_append_of_more_than_fits_keeps_the_newest() -> None:
    log = log_of(10, 100)
    assert positions(log.after(log.floor, 100)) == list(range(91, 101))


def test_the_floor_is_the_last_event_that_was_forgotten() -> None:
    log = log_of(10, 21)
    assert log.floor == Position(11, 0)
    assert log.holds(Position(11, 0))
    assert not log.holds(Position(10, 4294967295))
    assert positions(log.after(Position(11, 0), 1)) == [12]


def test_nothing_is_forgotten_before_the_log_is_twice_as_long_as_asked() -> None:
    log = log_of(10, 20)
    assert log.floor == Position(0, 0)
    assert log.holds(Position(0, 0))


def test_to_begin_anew_forgets_everything() -> None:
    log = log_of(10, 5)
    log.begin("e2", Position(3, 0))
    assert (log.cursor, log.floor, len(log)) == (Cursor("e2", Position(3, 0)), Position(3, 0), 0)
    assert positions(log.append(events(4, 4, "e2"))) == [4]


def test_large_events_are_bounded_by_their_bytes() -> None:
    log = Log(1000, most_bytes=100_000)
    log.begin("e1", Position(0, 0))
    for number in range(1, 200):
        log.append([event(number, data={"padding": "x" * 5000})])
    assert len(log) * 5000 <= 100_000
    assert not log.holds(Position(1, 0))
    assert positions(log.after(log.floor, 1)) == [log.floor.ts + 1]
