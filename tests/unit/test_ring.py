"""The ring of newest events: without a gap, bounded, and honest about how far back it reaches."""

import gc
import tracemalloc

import pytest

from services.common.cursor import Cursor, Position
from services.common.documents import Json
from services.common.envelope import Operation
from services.gateway.event import Event
from services.gateway.ring import Ring
from services.gateway.wire.form import Form
from tests.stream_events import change, event, events, positions


def ring_of(size: int, upto: int) -> Ring:
    ring = Ring(size)
    ring.reset("e1", Position(0, 0))
    ring.append(events(1, upto))
    return ring


def test_before_the_first_message_from_redis_there_is_no_cursor() -> None:
    assert Ring(5).cursor is None


def test_appended_events_can_be_read_from_any_position() -> None:
    ring = ring_of(10, 5)
    assert ring.cursor == Cursor("e1", Position(5, 0))
    assert positions(ring.after(Position(0, 0), 100)) == [1, 2, 3, 4, 5]
    assert positions(ring.after(Position(2, 7), 2)) == [3, 4]
    assert list(ring.after(Position(5, 0), 100)) == []
    assert list(ring.after(Position(99, 0), 100)) == []


def test_only_new_events_are_added_and_returned() -> None:
    ring = ring_of(10, 3)
    assert positions(ring.append(events(2, 5))) == [4, 5]
    assert list(ring.append(events(1, 5))) == []
    assert list(ring.append([])) == []
    assert positions(ring.after(Position(0, 0), 100)) == [1, 2, 3, 4, 5]


def test_the_log_holds_at_least_its_size_and_at_most_twice_that() -> None:
    ring = ring_of(10, 0)
    for number in range(1, 200):
        ring.append(events(number, number))
        assert min(number, 10) <= len(ring) <= 20
        assert ring.position == Position(number, 0)


def test_one_append_of_more_than_fits_keeps_the_newest() -> None:
    ring = ring_of(10, 100)
    assert positions(ring.after(ring.floor, 100)) == list(range(91, 101))


def test_the_floor_is_the_last_event_that_was_forgotten() -> None:
    ring = ring_of(10, 21)
    assert ring.floor == Position(11, 0)
    assert ring.holds(Position(11, 0))
    assert not ring.holds(Position(10, 4294967295))
    assert positions(ring.after(Position(11, 0), 1)) == [12]


def test_nothing_is_forgotten_before_the_log_is_twice_as_long_as_asked() -> None:
    ring = ring_of(10, 20)
    assert ring.floor == Position(0, 0)
    assert ring.holds(Position(0, 0))


def test_a_restart_forgets_everything() -> None:
    ring = ring_of(10, 5)
    ring.reset("e2", Position(3, 0))
    assert (ring.cursor, ring.floor, len(ring)) == (Cursor("e2", Position(3, 0)), Position(3, 0), 0)
    assert positions(ring.append(events(4, 4, "e2"))) == [4]


def test_large_events_are_bounded_by_their_bytes() -> None:
    ring = Ring(1000, most_bytes=100_000)
    ring.reset("e1", Position(0, 0))
    for number in range(1, 200):
        ring.append([event(number, data={"padding": "x" * 5000})])
    assert len(ring) * 5000 <= 100_000
    assert not ring.holds(Position(1, 0))
    assert positions(ring.after(ring.floor, 1)) == [ring.floor.ts + 1]


def fresh(number: int, padding: int) -> Event:
    """Return an event of which nothing is shared with any other."""
    order: dict[str, Json] = {"status": "shipped", "customer_name": f"Ada {number}", "padding": "x" * padding}
    made = change(number, Operation.UPDATE, id=f"{number:024x}", data=order, before={"status": f"pending {number}"})
    return Event(bytes(bytearray(made.envelope)), bytes(bytearray(made.images)))


def ask_for_everything(event: Event, suffix: str) -> None:
    assert event.deciding is not None
    for form in Form:
        event.encoded(form)
        event.encoded(form, suffix)
        event.left.encoded(form)


@pytest.mark.parametrize("padding", [0, 300, 5_000, 60_000])
def test_the_memory_of_the_ring_is_bounded_whatever_forms_clients_need(padding: int) -> None:
    """In every form, with the fields for filters, as left, and with the offsets of many clients."""
    most = 2 << 20
    ring = Ring(10**6, most)
    ring.reset("e1", Position(0, 0))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 2 * most // (padding + 1000)):
            ring.append([fresh(number, padding)])
            for each in ring.after(Position(max(0, number - 3), 0), 3):
                ask_for_everything(each, f"~{number}" + "f" * 2000)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ring.bytes <= most
    assert taken < 1.2 * ring.bytes + 200_000
    assert not ring.holds(Position(1, 0))


def test_an_event_that_has_left_the_ring_keeps_nothing_more() -> None:
    """A page of them may still wait for a client, and they are counted no longer."""
    ring = Ring(10, 100_000)
    ring.reset("e1", Position(0, 0))
    first = fresh(1, 1000)
    ring.append([first])
    ring.append([fresh(number, 40_000) for number in range(2, 6)])
    assert not ring.holds(Position(0, 0))
    before = ring.bytes
    assert first.encoded(Form.SSE) is not first.encoded(Form.SSE)
    assert ring.bytes == before


def test_a_restarted_ring_counts_from_zero() -> None:
    ring = ring_of(10, 5)
    ring.reset("e2", Position(3, 0))
    assert ring.bytes == 0
