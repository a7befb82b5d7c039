"""Clients that catch up do so page by page and in turn, and are sent no more than their connections take."""

import pytest

from services.common import fair_turns
from services.common.cursor import Cursor, Position
from services.gateway.subscription import Mode
from services.gateway.wire.form import Form
from tests.stream_events import Outlet, event, events
from tests.unit.test_hub import Stream


def test_clients_that_catch_up_have_a_page_each_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # filled by one client's page
    stream = Stream(size=1000)
    stream.publish(1, 250)
    outlets = [Outlet(), Outlet(form=Form.POLLING)]
    for outlet in outlets:
        stream.join(outlet)
    counts = [[len(outlet.positions) for outlet in outlets]]
    while stream.due:
        stream.turn()
        counts.append([len(outlet.positions) for outlet in outlets])
    assert counts[:5] == [[100, 100], [200, 100], [200, 200], [250, 200], [250, 250]]
    assert [outlet.positions for outlet in outlets] == [list(range(1, 251))] * 2


def test_one_turn_serves_as_many_clients_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 60.0)
    stream = Stream(size=1000)
    stream.publish(1, 250)
    outlets = [Outlet() for _ in range(3)]
    for outlet in outlets:
        stream.join(outlet)
    stream.turn()
    assert [len(outlet.positions) for outlet in outlets] == [250] * 3


def test_changes_that_come_while_a_client_catches_up_follow_the_missed_ones() -> None:
    stream = Stream(size=1000)
    stream.publish(1, 250)
    outlet = Outlet()
    subscription = stream.join(outlet)
    modes = [subscription.mode]
    stream.publish(251, 260)
    stream.turn()
    stream.publish(261, 261)
    stream.settle()
    modes.append(subscription.mode)
    stream.publish(262, 262)
    assert modes == [Mode.FROM_RING, Mode.LIVE]
    assert outlet.positions == list(range(1, 263))


def test_a_client_that_pauses_or_leaves_while_it_catches_up_has_no_turn_any_more() -> None:
    stream = Stream(size=1000)
    stream.publish(1, 250)
    pausing, leaving = Outlet(), Outlet()
    paused, left = stream.join(pausing), stream.join(leaving)
    stream.hub.pause(paused)
    stream.hub.unsubscribe(left)
    stream.settle()
    assert len(pausing.positions) == len(leaving.positions) == 100
    stream.drain(paused, pausing)
    stream.settle()
    assert pausing.positions == list(range(1, 251))


def test_a_page_is_bounded_by_bytes_and_an_event_that_is_larger_goes_alone() -> None:
    stream = Stream()
    sizes = [30_000, 30_000, 30_000, 200_000, 10, 10]
    batch = [event(number, data={"text": "x" * size}) for number, size in enumerate(sizes, 1)]
    stream.hub.publish(stream.ring.append(batch))
    outlet = Outlet()
    stream.join(outlet)
    stream.settle()
    assert [[Cursor.parse(each["cursor"]).position.ts for each in page] for page in outlet.writes] == [
        [1, 2],
        [3],
        [4],
        [5, 6],
    ]


def test_fetched_events_go_out_in_pages_as_far_as_the_connection_takes_them() -> None:
    stream = Stream(size=4)
    stream.publish(1, 1000)
    outlet = Outlet(room=3)
    subscription = stream.join(outlet)
    stream.hub.write_events(subscription, events(1, 990))
    assert [len(page) for page in outlet.writes] == [100, 100, 100]
    assert stream.hub.position(subscription) == Position(300, 0)


def test_a_paused_client_is_told_that_the_stream_is_stale_when_it_resumes() -> None:
    stream = Stream()
    outlets = [Outlet() for _ in range(3)]
    live, paused, absent = (stream.join(outlet) for outlet in outlets)
    stream.hub.pause(paused)
    stream.hub.pause(absent)
    stream.hub.notify_stale("watcher_silent")
    assert [outlet.statuses for outlet in outlets] == [["watcher_silent"], [], []]
    stream.hub.resume(paused)
    stream.hub.pause(paused)
    stream.hub.notify_stale(None)
    for subscription in (live, paused, absent):
        stream.hub.resume(subscription)
    assert [outlet.statuses for outlet in outlets] == [["watcher_silent", None]] * 2 + [[]]


def test_a_client_that_comes_to_a_stale_stream_is_told_so_before_anything_else() -> None:
    stream = Stream()
    stream.publish(1, 2)
    stream.hub.notify_stale("redis_unreachable")
    outlet = Outlet(room=1)
    stream.join(outlet)
    assert (outlet.statuses, outlet.positions) == (["redis_unreachable"], [1, 2])
