"""In any sequence of events, a client is sent exactly the changes that match its interest."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.common import fair_turns
from services.common.cursor import Cursor, Position
from services.common.envelope import Operation
from services.common.fair_turns import FairTurns
from services.common.normalize import EpochReason
from services.gateway import group
from services.gateway.event import Event
from services.gateway.filters import EVERYTHING, NOTHING, Filter, Interest, Verdict, verdict
from services.gateway.hub import Hub
from services.gateway.ring import Ring
from services.gateway.subscription import Mode, Subscription
from services.gateway.wire.form import Form
from tests.stream_events import Outlet, event

RING = 4  # so small that clients soon fall behind it

fields = st.none() | st.fixed_dictionaries(
    {"status": st.sampled_from(["pending", "shipped"]), "customer_name": st.sampled_from(["Ada", "Bo"])}
)
filters = st.builds(
    Filter,
    ids=st.none() | st.just(("a",)) | st.just(("b", "c")),
    status=st.none() | st.just(("shipped",)),
    customer_name=st.none() | st.just(("Ada",)),
)
interests = st.just(EVERYTHING) | st.just(NOTHING) | st.frozensets(filters, min_size=1, max_size=2)
changes = st.lists(
    st.tuples(st.sampled_from(Operation), st.sampled_from("abc"), fields, fields, st.booleans()), min_size=1, max_size=7
)


@dataclass(eq=False)
class Client:
    """A client, with the interests that it has had and from where on."""

    outlet: Outlet
    subscription: Subscription
    interests: list[tuple[Position, Interest]]
    resyncs: list[tuple[str, str]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)  # over earlier connections

    @property
    def seen(self) -> list[tuple[str, bool]]:
        return [(each["cursor"], "left" in each) for each in self.received + self.outlet.seen]

    def due_events(self, history: list[Event], upto: Position) -> list[tuple[str, bool]]:
        found = []
        for change in history:
            earlier = [interest for since, interest in self.interests if since < change.position]
            if earlier and change.position <= upto:
                judged = verdict(earlier[-1], change)
                if judged is not Verdict.HIDE:
                    found.append((str(change.cursor), judged is Verdict.LEFT))
        return found


class Interleavings(RuleBasedStateMachine):
    clients: Bundle[Client] = Bundle("clients")

    @initialize()
    def begin(self) -> None:
        self.epoch = 1
        self.ring = Ring(RING)
        self.ring.reset("1", Position(0, 0))
        self.fetched: list[Subscription] = []
        self.due: list[Callable[[], None]] = []
        self.hub = Hub(self.ring, self.fetched.append, FairTurns(self.due.append))
        self.hub.failed = self._unexpected
        self.history: list[Event] = []
        self.all: list[Client] = []

    @staticmethod
    def _unexpected(error: Exception) -> None:
        raise error

    @precondition(lambda self: self.due)
    @rule(seconds=st.sampled_from([0.0, math.inf]))
    def turn(self, seconds: float) -> None:
        # For one client only, or for all. By the clock, a step would do more or less when Hypothesis repeats it.
        fair_turns.PASS_SECONDS = seconds
        self.due.pop(0)()

    @rule(batch=changes)
    def publish(self, batch: list[tuple[Operation, str, Any, Any, bool]]) -> None:
        added: list[Event] = []
        last = self.ring.position
        for operation, order, data, before, same_time in batch:
            last = last.next_at(last.ts if same_time else last.ts + 1)
            added.append(event(last, operation, id=order, data=data, before=before, epoch=str(self.epoch)))
        self.history += added
        self.hub.publish(self.ring.append(added))

    @rule(batch=changes)
    def publish_with_a_repetition(self, batch: list[tuple[Operation, str, Any, Any, bool]]) -> None:
        before = len(self.history)
        self.publish(batch)
        assert self.ring.append(self.history[before:]) == []

    @rule(
        target=clients,
        interest=interests,
        back=st.integers(0, 12),
        form=st.sampled_from([Form.SSE_PLAIN, Form.POLLING]),
        room=st.integers(1, 5),
    )
    def join(self, interest: Interest, back: int, form: Form, room: int) -> Client:
        start = self.ring.position if back >= len(self.history) or not back else self.history[-1 - back].position
        return self._add(Outlet(form=form, room=room), interest, start)

    @rule(target=clients, interest=interests, ahead=st.integers(1, 4))
    def join_ahead_of_the_stream(self, interest: Interest, ahead: int) -> Client:
        return self._add(Outlet(), interest, Position(self.ring.position.ts + ahead, 0))

    def _add(self, outlet: Outlet, interest: Interest, start: Position) -> Client:
        client = Client(outlet, self.hub.subscribe(outlet, interest, start), [(start, interest)])
        self.all.append(client)
        self._connect(client)
        return client

    def _connect(self, client: Client) -> None:
        client.outlet.full = lambda: self.hub.pause(client.subscription)
        self.hub.resume(client.subscription)

    @rule(client=clients)
    def pause(self, client: Client) -> None:
        self.hub.pause(client.subscription)

    @rule(client=clients, room=st.integers(1, 5), form=st.sampled_from([Form.SSE_PLAIN, Form.POLLING]))
    def resume(self, client: Client, room: int, form: Form) -> None:
        if client.subscription.mode is Mode.PAUSED:
            client.received += client.outlet.seen
            client.outlet.writes.clear()
            client.outlet.form = form
        client.outlet.room = room
        self.hub.resume(client.subscription)

    @rule(client=clients, interest=interests)
    def change_interest(self, client: Client, interest: Interest) -> None:
        where = self.hub.position(client.subscription)
        client.interests = [item for item in client.interests if item[0] < where] + [(where, interest)]
        self.hub.change_interest(client.subscription, interest)

    @rule(client=clients, room=st.integers(1, 5))
    def reconnect_with_the_last_cursor(self, client: Client, room: int) -> None:
        self.hub.unsubscribe(client.subscription)
        where = self.hub.position(client.subscription)
        located = self.hub.resume_points.locate(Cursor(str(self.epoch), where))
        assert located == (where, None)
        client.received += client.outlet.seen
        client.resyncs += client.outlet.resyncs
        client.outlet = Outlet(form=client.outlet.form, room=room)
        client.subscription = self.hub.subscribe(client.outlet, client.subscription.interest, where)
        self._connect(client)

    @rule(client=consumes(clients))
    def leave(self, client: Client) -> None:
        self.hub.unsubscribe(client.subscription)
        self.all.remove(client)

    @precondition(lambda self: self.fetched)
    @rule(most=st.integers(1, 5))
    def read_redis(self, most: int) -> None:
        subscription = self.fetched.pop(0)
        if not subscription.is_behind():
            return
        if self.ring.holds(subscription.position):
            self.hub.serve_from_ring(subscription)
            return
        page = [change for change in self.history if change.position > subscription.position][:most]
        self.hub.write_events(subscription, page)
        if subscription.is_behind():
            self.fetched.append(subscription)

    @rule()
    def begin_an_epoch(self) -> None:
        self.epoch += 1
        start = Position(self.ring.position.ts + 1, 0)
        self.ring.reset(str(self.epoch), start)
        self.hub.begin_epoch(EpochReason.COLLECTION_DROPPED)
        self.history.clear()
        for client in self.all:
            client.received.clear()
            client.outlet.writes.clear()
            client.interests = [(start, client.interests[-1][1])]
            assert client.outlet.resyncs[-1] == ("collection_dropped", f"{self.epoch}.{start}")

    @invariant()
    def each_client_has_all_due_events_up_to_its_position(self) -> None:
        for client in self.all:
            assert client.seen == client.due_events(self.history, self.hub.position(client.subscription))

    @invariant()
    def the_census_counts_every_client_as_it_is(self) -> None:
        walked = Counter((each.counted_as[0], each.mode) for each in self.hub._subscriptions)
        assert Counter(self.hub.census()) == walked

    @invariant()
    def clients_that_are_not_paused_have_all_due_events(self) -> None:
        for client in self.all:
            if client.subscription.mode is Mode.LIVE:
                assert client.seen == client.due_events(self.history, self.ring.position)
            if client.subscription.mode is Mode.FROM_RING:
                assert self.due
            if client.subscription.mode is Mode.BEHIND:
                assert client.subscription in self.fetched


def test_every_client_is_sent_exactly_the_events_that_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "PAGE", 2)
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)  # restored afterwards, for `turn` sets it
    run_state_machine_as_test(Interleavings, settings=settings(max_examples=80, stateful_step_count=40, database=None))
