"""The hub sends each client exactly the events after its position, however fast the client takes them."""

from collections.abc import Callable

from services.common.cursor import Cursor, Position
from services.common.envelope import Operation
from services.common.fair_turns import FairTurns
from services.common.normalize import EpochReason
from services.gateway.filters import EVERYTHING, NOTHING, Filter, Interest
from services.gateway.groups import MOST_ENCODINGS
from services.gateway.hub import Hub
from services.gateway.ring import Ring
from services.gateway.subscription import Mode, ResyncReason, Subscription
from services.gateway.wire.form import Form
from tests.stream_events import EPOCH, Outlet, event, events

SHIPPED: Interest = frozenset({Filter(status=("shipped",))})


class Stream:
    """A log with its hub; the hub's requests to Redis are kept in ``fetched``, its deferred calls in ``due``."""

    def __init__(self, size: int = 100) -> None:
        self.ring = Ring(size)
        self.ring.reset(EPOCH, Position(0, 0))
        self.fetched: list[Subscription] = []
        self.due: list[Callable[[], None]] = []
        self.errors: list[str] = []
        self.hub = Hub(self.ring, self.fetched.append, FairTurns(self.due.append))
        self.hub.failed = lambda error: self.errors.append(str(error))

    def turn(self) -> None:
        """Let the loop go round once."""
        due, self.due[:] = self.due[:], []
        for call in due:
            call()

    def settle(self) -> None:
        while self.due:
            self.turn()

    def holds_nobody(self) -> bool:
        """Tell whether the hub has nothing of anybody, once what is left to do is done."""
        self.settle()
        inside = (
            self.hub._groups,
            self.hub._groups._index._by_key,
            self.hub._ahead,
            self.hub._queued,
            self.hub._subscriptions,
        )
        return not any(len(each) for each in inside)

    def publish(self, first: int, last: int) -> None:
        self.hub.publish(self.ring.append(events(first, last)))

    def join(self, outlet: Outlet, position: int = 0, interest: Interest = EVERYTHING) -> Subscription:
        subscription = self.hub.subscribe(outlet, interest, Position(position, 0))
        outlet.full = lambda: self.hub.pause(subscription)
        self.hub.resume(subscription)
        return subscription

    def drain(self, subscription: Subscription, outlet: Outlet, room: float = float("inf")) -> None:
        outlet.room = room
        self.hub.resume(subscription)


def test_a_batch_reaches_every_live_client_in_one_write() -> None:
    stream = Stream()
    one, other = Outlet(), Outlet(form=Form.POLLING)
    stream.join(one)
    stream.join(other)
    stream.publish(1, 3)
    stream.publish(4, 4)
    assert [len(batch) for batch in one.writes] == [len(batch) for batch in other.writes] == [3, 1]
    assert one.positions == other.positions == [1, 2, 3, 4]


def test_a_new_client_is_first_sent_the_events_after_its_position() -> None:
    stream = Stream()
    stream.publish(1, 5)
    outlet = Outlet()
    stream.join(outlet, position=2)
    stream.publish(6, 6)
    assert outlet.positions == [3, 4, 5, 6]


def test_nothing_is_sent_before_the_first_resume() -> None:
    stream = Stream()
    outlet = Outlet()
    subscription = stream.hub.subscribe(outlet, EVERYTHING, Position(0, 0))
    stream.publish(1, 2)
    assert outlet.writes == []
    stream.hub.resume(subscription)
    assert outlet.positions == [1, 2]


def test_a_client_that_pauses_resumes_from_its_own_position() -> None:
    stream = Stream()
    outlet = Outlet()
    subscription = stream.join(outlet)
    stream.publish(1, 2)
    stream.hub.pause(subscription)
    stream.publish(3, 5)
    assert outlet.positions == [1, 2]
    assert stream.hub.position(subscription) == Position(2, 0)
    stream.hub.resume(subscription)
    stream.publish(6, 6)
    assert outlet.positions == [1, 2, 3, 4, 5, 6]


def test_a_client_that_is_full_in_the_middle_of_a_fan_out_misses_nothing_and_gets_nothing_twice() -> None:
    stream = Stream()
    outlets = [Outlet(), Outlet(room=1), Outlet(form=Form.POLLING, room=1), Outlet(form=Form.POLLING)]
    joined = [stream.join(outlet) for outlet in outlets]
    stream.publish(1, 3)
    assert [subscription.mode for subscription in joined] == [Mode.LIVE, Mode.PAUSED, Mode.PAUSED, Mode.LIVE]
    stream.publish(4, 5)
    for subscription, outlet in zip(joined, outlets, strict=True):
        stream.drain(subscription, outlet)
    stream.publish(6, 6)
    assert [outlet.positions for outlet in outlets] == [[1, 2, 3, 4, 5, 6]] * 4


def test_a_client_that_one_write_of_another_makes_pause_misses_nothing() -> None:
    stream = Stream()
    first, second = Outlet(), Outlet(form=Form.POLLING)
    stream.join(first)
    other = stream.join(second)
    first.full, first.room = lambda: stream.hub.pause(other), 1
    stream.publish(1, 2)
    first.room = float("inf")
    stream.hub.resume(other)
    assert second.positions == [1, 2]


def test_a_long_way_is_caught_up_in_pages_that_the_connection_may_interrupt() -> None:
    stream = Stream(size=1000)
    stream.publish(1, 450)
    outlet = Outlet(room=2)
    subscription = stream.join(outlet)
    assert [len(batch) for batch in outlet.writes] == [100]
    stream.settle()
    assert [len(batch) for batch in outlet.writes] == [100, 100]
    stream.drain(subscription, outlet)
    stream.settle()
    assert outlet.positions == list(range(1, 451))


def test_a_cursor_ahead_of_the_stream_gets_nothing_until_the_stream_has_passed_it() -> None:
    stream = Stream()
    outlet = Outlet()
    subscription = stream.join(outlet, position=3)
    stream.publish(1, 2)
    stream.publish(3, 3)
    assert outlet.writes == []
    assert stream.hub.position(subscription) == Position(3, 0)
    stream.publish(4, 5)
    stream.settle()
    assert outlet.positions == [4, 5]


def test_a_batch_that_crosses_a_cursor_ahead_is_cut_there() -> None:
    stream = Stream()
    outlet = Outlet()
    stream.join(outlet, position=3)
    stream.publish(1, 5)
    stream.settle()
    assert outlet.positions == [4, 5]


def test_a_client_that_the_ring_has_passed_is_fetched_for_and_goes_on_live() -> None:
    stream = Stream(size=4)
    outlet = Outlet()
    subscription = stream.join(outlet)
    stream.hub.pause(subscription)
    stream.publish(1, 20)
    stream.hub.resume(subscription)
    assert stream.fetched == [subscription]
    assert subscription.is_behind()
    stream.publish(21, 21)
    assert outlet.writes == []
    stream.hub.write_events(subscription, events(1, 19))
    stream.hub.serve_from_ring(subscription)
    stream.settle()
    stream.publish(22, 22)
    assert outlet.positions == list(range(1, 23))


def test_a_client_that_is_full_while_it_is_fetched_for_is_fetched_for_again() -> None:
    stream = Stream(size=4)
    outlet = Outlet(room=1)
    stream.publish(1, 20)
    subscription = stream.join(outlet)
    stream.hub.write_events(subscription, events(1, 5))
    assert not subscription.is_behind()
    stream.hub.serve_from_ring(subscription)  # too late: it must not begin to write to a full connection
    assert len(outlet.writes) == 1
    stream.drain(subscription, outlet)
    assert stream.fetched == [subscription, subscription]
    assert stream.hub.position(subscription) == Position(5, 0)


def test_a_batch_that_concerns_very_many_groups_reaches_the_largest_at_once_and_the_others_by_turns() -> None:
    """One client with a thousand filters, and a batch, kept the loop for seconds."""
    stream = Stream(1000)
    crowd = [Outlet(), Outlet()]
    for outlet in crowd:
        stream.join(outlet)
    alone = [Outlet() for _ in range(200)]
    for number, outlet in enumerate(alone):
        stream.join(outlet, interest=frozenset({Filter(customer_name=("Ada", f"{number}"))}))
    assert stream.hub.groups == 201
    stream.publish(1, 100)
    assert [outlet.positions for outlet in crowd] == [[*range(1, 101)]] * 2
    at_once = [outlet for outlet in alone if outlet.positions]
    assert len(at_once) == MOST_ENCODINGS // 100 - 1
    stream.publish(101, 101)
    stream.settle()
    assert all(outlet.positions == [*range(1, 102)] for outlet in [*crowd, *alone])
    assert stream.hub.groups == 201
    stream.publish(102, 102)
    assert all(outlet.positions == [*range(1, 103)] for outlet in [*crowd, *alone])
    assert not stream.errors


def test_groups_that_few_events_of_a_batch_concern_stay_live_beside_costly_ones() -> None:
    """After an outage, a gateway with clients of fifty customers had served most of them one by one."""
    stream = Stream(1000)
    customers = {f"Customer {number}": [Outlet(), Outlet()] for number in range(50)}
    for customer, outlets in customers.items():
        for outlet in outlets:
            stream.join(outlet, interest=frozenset({Filter(customer_name=(customer,))}))
    costly = [Outlet() for _ in range(12)]
    for number, outlet in enumerate(costly):
        wanted = (*customers, f"{number}")
        stream.join(outlet, interest=frozenset({Filter(customer_name=wanted)}))
    batch = [event(number, data={"customer_name": f"Customer {number % 50}"}) for number in range(1, 101)]
    stream.hub.publish(stream.ring.append(batch))
    expected = {customer: [n for n in range(1, 101) if customer == f"Customer {n % 50}"] for customer in customers}
    assert {customer: [each.positions for each in outlets] for customer, outlets in customers.items()} == {
        customer: [positions] * 2 for customer, positions in expected.items()
    }
    at_once = [outlet for outlet in costly if outlet.positions]
    assert len(at_once) == (MOST_ENCODINGS - 100) // 100
    stream.settle()
    assert all(outlet.positions == [*range(1, 101)] for outlet in costly)
    assert stream.hub.groups == 62
    assert not stream.errors


def indexed(stream: Stream) -> int:
    return len(stream.hub._groups._index._by_key)


def test_hundreds_of_clients_that_leave_or_are_reached_at_once_are_dealt_with_by_turns() -> None:
    """A thousand clients with fifty ids each that left at once kept the loop for 50 ms; reached at once, for 70 ms."""
    stream = Stream(1000)
    outlets = [Outlet() for _ in range(200)]
    joined = []
    for number, outlet in enumerate(outlets):
        ids = (f"{number}", *(f"{number} {each}" for each in range(49)))
        joined.append(stream.join(outlet, position=2, interest=frozenset({Filter(ids=ids)})))
    stream.publish(1, 3)
    assert (indexed(stream), stream.hub.groups) == (0, 0)
    stream.publish(4, 4)  # also what comes before their turns is not lost
    stream.settle()
    assert (indexed(stream), stream.hub.groups) == (200 * 50, 200)
    assert not any(outlet.positions for outlet in outlets)
    stream.hub.publish(stream.ring.append([event(5, id=f"{number}") for number in range(1)]))
    assert [outlet.positions for outlet in outlets] == [[5], *[[]] * 199]
    for subscription in joined:
        stream.hub.unsubscribe(subscription)
    assert (indexed(stream), stream.hub.groups) == (200 * 50, 0)
    stream.publish(6, 6)  # for nobody
    assert stream.holds_nobody()
    assert not stream.errors


def test_a_group_that_was_empty_for_a_moment_is_found_again() -> None:
    stream = Stream()
    first, second = Outlet(), Outlet()
    leaving = stream.join(first, interest=SHIPPED)
    stream.hub.unsubscribe(leaving)
    stream.join(second, interest=SHIPPED)
    stream.hub.publish(stream.ring.append([event(1, data={"status": "shipped"})]))
    stream.settle()
    stream.hub.publish(stream.ring.append([event(2, data={"status": "shipped"})]))
    assert (first.positions, second.positions, stream.hub.groups) == ([], [1, 2], 1)


def test_the_end_of_an_epoch_is_announced_to_all_clients_with_the_new_cursor() -> None:
    stream = Stream(size=4)
    live, paused, ahead, behind = Outlet(), Outlet(), Outlet(), Outlet()
    stream.publish(1, 20)
    joined = [stream.join(live, 20), stream.join(paused, 20), stream.join(ahead, 99), stream.join(behind, 1)]
    stream.hub.pause(joined[1])
    stream.ring.reset("e2", Position(50, 0))
    stream.hub.begin_epoch(EpochReason.COLLECTION_DROPPED)
    for outlet in (live, paused, ahead, behind):
        assert outlet.resyncs == [("collection_dropped", "e2.50-0")]
    stream.hub.publish(stream.ring.append(events(51, 52, "e2")))
    assert live.positions == ahead.positions == behind.positions == [51, 52]
    assert paused.writes == []
    stream.hub.resume(joined[1])
    assert paused.positions == [51, 52]


def test_one_client_whose_history_is_lost_goes_on_from_now() -> None:
    stream = Stream(size=4)
    stream.publish(1, 20)
    outlet, other = Outlet(), Outlet()
    subscription = stream.join(outlet, 1)
    stream.join(other, 20)
    stream.hub.resync_one(subscription, ResyncReason.HISTORY_LOST)
    stream.publish(21, 21)
    assert (outlet.resyncs, other.resyncs) == ([("history_lost", "e1.20-0")], [])
    assert outlet.positions == other.positions == [21]


def test_a_client_that_left_is_sent_nothing_and_may_leave_twice() -> None:
    stream = Stream()
    outlet = Outlet()
    subscription = stream.join(outlet)
    stream.hub.unsubscribe(subscription)
    stream.hub.unsubscribe(subscription)
    stream.hub.resume(subscription)
    stream.publish(1, 1)
    stream.hub.begin_epoch(EpochReason.INVALIDATED)
    assert (outlet.writes, outlet.resyncs, len(stream.hub)) == ([], [], 0)


def test_a_client_that_leaves_while_it_waits_for_the_stream_to_come_is_forgotten() -> None:
    stream = Stream()
    outlet = Outlet()
    stream.hub.unsubscribe(stream.join(outlet, 5))
    stream.publish(1, 9)
    assert outlet.writes == []


def test_an_interest_that_changes_counts_from_the_next_change_on() -> None:
    stream = Stream()
    outlet = Outlet()
    subscription = stream.join(outlet)
    stream.publish(1, 1)
    stream.hub.change_interest(subscription, SHIPPED)
    batch = [event(2, data={"status": "pending"}), event(3, data={"status": "shipped"})]
    stream.hub.publish(stream.ring.append(batch))
    assert outlet.positions == [1, 3]
    stream.hub.change_interest(subscription, NOTHING)
    stream.publish(4, 4)
    stream.hub.change_interest(subscription, EVERYTHING)
    stream.publish(5, 5)
    assert outlet.positions == [1, 3, 5]


def test_an_interest_that_changes_while_the_client_waits_or_is_fetched_for_loses_nothing() -> None:
    stream = Stream(size=4)
    stream.publish(1, 20)
    ahead, behind, paused = Outlet(), Outlet(), Outlet()
    joined = [stream.join(ahead, 21), stream.join(behind, 2), stream.join(paused, 20)]
    stream.hub.pause(joined[2])
    for subscription in joined:
        stream.hub.change_interest(subscription, frozenset({Filter(ids=("a",))}))
    assert [subscription.mode for subscription in joined] == [Mode.AHEAD, Mode.BEHIND, Mode.PAUSED]
    stream.hub.write_events(joined[1], events(3, 19))
    stream.hub.serve_from_ring(joined[1])
    stream.publish(21, 22)
    stream.settle()
    stream.hub.resume(joined[2])
    assert (ahead.positions, behind.positions, paused.positions) == ([22], list(range(3, 23)), [21, 22])


def test_an_order_that_leaves_the_view_is_taken_out_without_being_shown() -> None:
    stream = Stream()
    outlet = Outlet()
    stream.join(outlet, interest=SHIPPED)
    gone = event(1, Operation.UPDATE, data={"status": "delivered"}, before={"status": "shipped"})
    stream.hub.publish(stream.ring.append([gone]))
    assert outlet.seen == [
        {
            "operation": "DELETE",
            "id": "a",
            "data": None,
            "cursor": "e1.1-0",
            "at": "2026-01-01T00:00:00.000Z",
            "left": True,
        }
    ]


def test_a_batch_of_which_nothing_fits_is_no_write_at_all() -> None:
    stream = Stream()
    outlet = Outlet()
    stream.join(outlet, interest=SHIPPED)
    stream.hub.publish(stream.ring.append([event(1, data={"status": "pending"})]))
    assert outlet.writes == []


def test_cursors_within_reach_are_told_apart_from_those_beyond_it() -> None:
    stream = Stream(size=4)
    stream.publish(1, 20)
    stream.hub.resume_points.log_floor = Position(5, 0)
    here = Position(20, 0)
    assert stream.hub.resume_points.locate(Cursor(EPOCH, here)) == (here, None)
    assert stream.hub.resume_points.locate(Cursor(EPOCH, Position(5, 0))) == (Position(5, 0), None)
    assert stream.hub.resume_points.locate(Cursor(EPOCH, Position(4, 9))) == (here, "history_lost")
    assert stream.hub.resume_points.locate(Cursor(EPOCH, Position(99, 0))) == (Position(99, 0), None)
    assert stream.hub.resume_points.locate(Cursor("e0", here)) == (here, "epoch_unknown")
    stream.hub.begin_epoch(EpochReason.COLLECTION_RENAMED)
    assert stream.hub.resume_points.locate(Cursor("e0", here)) == (here, "collection_renamed")


def test_a_client_may_come_back_in_another_form() -> None:
    stream = Stream()
    outlet = Outlet(form=Form.POLLING)
    subscription = stream.join(outlet)
    stream.publish(1, 1)
    stream.hub.pause(subscription)
    outlet.form = Form.SSE_PLAIN
    stream.publish(2, 2)
    stream.hub.resume(subscription)
    stream.publish(3, 3)
    assert outlet.positions == [1, 2, 3]


def test_clients_that_are_far_ahead_cost_nothing_until_the_stream_comes_to_them() -> None:
    stream = Stream()
    near, far = Outlet(), Outlet()
    stream.join(near, 2)
    subscription = stream.join(far, 1000)
    served: list[Subscription] = []
    replay = stream.hub._serve_isolated

    def noted(each: Subscription) -> None:
        served.append(each)
        replay(each)

    stream.hub._serve_isolated = noted  # type: ignore[method-assign, assignment]
    stream.publish(1, 3)
    stream.settle()
    assert near.positions == [3]
    assert subscription not in served
    stream.hub.unsubscribe(subscription)
    stream.publish(4, 4)
    assert near.positions == [3, 4]


def test_clients_ahead_that_come_and_go_do_not_pile_up() -> None:
    stream = Stream()
    for _ in range(2000):
        stream.hub.unsubscribe(stream.join(Outlet(), 1000))
    assert len(stream.hub._ahead._heap) <= 200
