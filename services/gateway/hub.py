"""Sends each event to every client that wants it, and serves from the ring those that have yet to get some events."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import assert_never

from services.common.cursor import Cursor, Position
from services.common.fair_turns import FairTurns
from services.gateway.ahead import Ahead
from services.gateway.audience import Rights
from services.gateway.error_boundary import ErrorBoundary
from services.gateway.event import Event
from services.gateway.filters import EVERYTHING, Interest
from services.gateway.group import PAGE
from services.gateway.groups import Groups
from services.gateway.resume_points import ResumePoints
from services.gateway.resyncs import Resyncs
from services.gateway.ring import Ring
from services.gateway.subscription import Mode, Outlet, Reason, ResyncReason, Subscription
from services.gateway.wire.form import Form


class Hub:
    """All clients of this gateway. ``catch_up`` serves a client whose position the ring no longer holds.

    A client's error never leaves the hub: it costs that client its connection and is passed to ``failed``.
    """

    def __init__(
        self,
        ring: Ring,
        catch_up: Callable[[Subscription], None],
        turns: FairTurns,
        resyncs: Resyncs | None = None,
    ) -> None:
        self._ring = ring
        self._catch_up = catch_up
        self._groups = Groups(turns.add)
        self._subscriptions: set[Subscription] = set()
        self._ahead = Ahead()
        self._turns = turns
        self._queued: set[Subscription] = set()  # whose turn is to come, even if they no longer need it
        self._census: Counter[tuple[Form, Mode]] = Counter()
        self.resyncs = Resyncs() if resyncs is None else resyncs
        self.resume_points = ResumePoints(ring)
        self.stale: str | None = None
        self.published: Callable[[Sequence[Event], int], None] = lambda _events, _writes: None  # for metrics
        self.failed: Callable[[Exception], None] = lambda _error: None  # for metrics

    def census(self) -> Mapping[tuple[Form, Mode], int]:
        """Return how many clients have each wire form and mode: kept up to date, since a scrape must not walk them."""
        return self._census

    def sent_bytes(self, form: Form) -> int:
        """Return how many bytes of changes were written in this form."""
        return self._groups.sent_bytes(form)

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def groups(self) -> int:
        """How many distinct byte streams go out, each to at least one live client."""
        return len(self._groups)

    def subscribe(
        self, outlet: Outlet, interest: Interest, position: Position, account: str = "", rights: Rights = EVERYTHING
    ) -> Subscription:
        """Register a client; once resumed, it is sent everything after ``position`` that it wants and may see."""
        subscription = Subscription(outlet, interest, position, account, rights)
        self._subscriptions.add(subscription)
        self._census[subscription.counted_as] += 1
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget the client; idempotent."""
        self._detach(subscription, Mode.PAUSED)
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._census[subscription.counted_as] -= 1

    def change_interest(self, subscription: Subscription, interest: Interest) -> None:
        """Filter the client's events by another interest from now on."""
        paused = subscription.mode is Mode.PAUSED
        self._detach(subscription, Mode.PAUSED)
        subscription.interest = interest
        if not paused:
            self.resume(subscription)

    def change_rights(self, subscription: Subscription, rights: Rights) -> None:
        """Show the client the orders of these rights from now on; where they are others than before, it must reload."""
        if rights == subscription.rights:
            return
        paused = subscription.mode is Mode.PAUSED
        self._detach(subscription, Mode.PAUSED)
        subscription.rights = rights
        self.resync_one(subscription, ResyncReason.RIGHTS_CHANGED)
        if not paused:
            self.resume(subscription)

    def pause(self, subscription: Subscription) -> None:
        """Stop sending: its connection is full. It keeps its position and is served from there later."""
        self._detach(subscription, Mode.PAUSED)

    def resume(self, subscription: Subscription) -> None:
        """Continue sending, unless it is held: its connection takes data again, perhaps in another form."""
        if subscription.mode is not Mode.PAUSED or subscription.held or subscription not in self._subscriptions:
            return
        with self.isolating(subscription):
            # Fixed until the next pause: whatever changes meanwhile, the client is found in the group that it joined.
            subscription.group = self._groups.find(subscription.audience, subscription.outlet.form)
            if subscription.position == self._ring.position and subscription.notified_stale == self.stale:
                self._attach(subscription)  # as nearly every new client, it has missed nothing
                return
            self._change_mode(subscription, Mode.FROM_RING)
            self._notify_stale(subscription)
            self._serve(subscription)

    def position(self, subscription: Subscription) -> Position:
        """Return the position up to which the client has been sent everything."""
        return self._ring.position if subscription.mode is Mode.LIVE else subscription.position

    def publish(self, events: Sequence[Event]) -> None:
        """Send events that were just added to the ring."""
        written, undecided = self._groups.fan_out(events, self._abandon, partial(self._postpone, events))
        for subscription in undecided:
            self.resync_one(subscription, ResyncReason.RIGHTS_UNDECIDED)
        self.published(events, written)
        for subscription in self._ahead.reached(self._ring.position):
            # By turns: to serve a client, and to have it join its group, takes 60 µs, and there may be a thousand.
            self._detach(subscription, Mode.FROM_RING)
            self._queue_turn(subscription)

    def _postpone(self, events: Sequence[Event], subscription: Subscription) -> None:
        """Serve a live client these events from the ring, as soon as it is its account's turn."""
        self._detach(subscription, Mode.FROM_RING)
        subscription.position = events[0].position.below
        self._queue_turn(subscription)

    def begin_epoch(self, reason: Reason | None) -> str:
        """Resync every client because history broke; return the id of the incident. The ring has been reset already."""
        why = reason or ResyncReason.EPOCH_UNKNOWN
        self.resume_points.begin_epoch(self._ring.epoch, why)
        return self.resync_all(why)

    def notify_stale(self, stale: str | None) -> None:
        """Notify every client when its data becomes stale and when it is fresh again; paused ones as they resume."""
        if stale == self.stale:
            return
        self.stale = stale
        for subscription in tuple(self._subscriptions):
            if subscription.mode is not Mode.PAUSED:
                with self.isolating(subscription):
                    self._notify_stale(subscription)

    def _notify_stale(self, subscription: Subscription) -> None:
        if subscription.notified_stale != self.stale and (epoch := self._ring.epoch) is not None:
            subscription.notified_stale = self.stale
            subscription.outlet.status(self.stale, Cursor(epoch, self.position(subscription), subscription.view))

    def resync_all(self, reason: Reason) -> str:
        """Tell every client to reload, since what it missed cannot be recovered; return the id of the incident."""
        cursor = self._ring.cursor
        incident = self.resyncs.everyone(reason, 0 if cursor is None else len(self))
        if cursor is None:
            return incident
        for subscription in tuple(self._subscriptions):
            if subscription in self._subscriptions:  # else it has left meanwhile
                self._resync(subscription, reason, cursor, incident)
        return incident

    def resync_one(self, subscription: Subscription, reason: Reason) -> None:
        """Tell one client to reload, and continue from the stream's current position."""
        cursor = self._ring.cursor
        if cursor is None or subscription not in self._subscriptions:
            return
        was_at = Cursor(cursor.epoch, self.position(subscription), subscription.view)
        incident = self.resyncs.one(reason, subscription.outlet.client, subscription.account, was_at)
        self._resync(subscription, reason, cursor, incident)

    def _resync(self, subscription: Subscription, reason: Reason, cursor: Cursor, incident: str) -> None:
        paused = subscription.mode is Mode.PAUSED
        self._detach(subscription, Mode.PAUSED)
        subscription.position = cursor.position
        with self.isolating(subscription):
            subscription.outlet.resync(reason, cursor._replace(view=subscription.view), incident)
        if not paused:
            self.resume(subscription)

    def serve_from_ring(self, subscription: Subscription) -> None:
        """Serve a client that was behind from the ring, which holds its position again."""
        if subscription.mode is Mode.BEHIND:
            self._change_mode(subscription, Mode.FROM_RING)
            self._queue_turn(subscription)

    def write_events(self, subscription: Subscription, events: Sequence[Event]) -> None:
        """Send a client that is not live the events after its position, until backpressure pauses it."""
        with self.isolating(subscription):
            while events and subscription.mode is not Mode.PAUSED:
                page = subscription.group.first_page(events)
                events = events[len(page) :]
                if not self._write_page(subscription, page):
                    return

    def _write_page(self, subscription: Subscription, page: Sequence[Event]) -> bool:
        """Send a page; return False where the client must reload instead."""
        data = subscription.group.encode(page)
        if data is None:
            self.resync_one(subscription, ResyncReason.RIGHTS_UNDECIDED)
            return False
        subscription.position = page[-1].position
        if data:
            subscription.group.sent.count += len(data)
            subscription.outlet.write(data)
        return True

    def _queue_turn(self, subscription: Subscription) -> None:
        if subscription not in self._queued:
            self._queued.add(subscription)
            self._turns.add(subscription.account, partial(self._take_turn, subscription))

    def _take_turn(self, subscription: Subscription) -> None:
        self._queued.remove(subscription)
        if subscription.mode is Mode.FROM_RING:
            self._serve_isolated(subscription)

    def _serve_isolated(self, subscription: Subscription) -> None:
        with self.isolating(subscription):
            self._serve(subscription)

    def _serve(self, subscription: Subscription) -> None:
        """Send one page of the events that the client has yet to get; then it is live or waits for its next turn."""
        if not self._ring.holds(subscription.position):
            self._detach(subscription, Mode.BEHIND)
            self._catch_up(subscription)
            return
        page = subscription.group.first_page(self._ring.after(subscription.position, PAGE))
        if page and not self._write_page(subscription, page):
            return
        if subscription.mode is Mode.PAUSED:
            return
        if self._ring.after(subscription.position, 1):
            self._change_mode(subscription, Mode.FROM_RING)
            self._queue_turn(subscription)
        else:
            self._attach(subscription)

    def _attach(self, subscription: Subscription) -> None:
        if subscription.position > self._ring.position:
            self._change_mode(subscription, Mode.AHEAD)
            self._ahead.add(subscription)
            return
        self._groups.join(subscription)
        self._change_mode(subscription, Mode.LIVE)

    def _detach(self, subscription: Subscription, mode: Mode) -> None:
        match subscription.mode:
            case Mode.LIVE:
                # Everything in the ring has been written to it; from now on it has a position of its own.
                subscription.position = self._ring.position
                self._groups.leave(subscription)
            case Mode.AHEAD:
                self._ahead.discard(subscription)
            case Mode.PAUSED | Mode.BEHIND | Mode.FROM_RING:
                pass
            case _:
                assert_never(subscription.mode)
        self._change_mode(subscription, mode)

    def _change_mode(self, subscription: Subscription, mode: Mode) -> None:
        subscription.mode = mode
        if subscription in self._subscriptions:
            self._census[subscription.counted_as] -= 1
            # The form of a client that is not paused is its group's, and is asked for in one step instead of three.
            form = subscription.outlet.form if mode is Mode.PAUSED else subscription.group.form
            subscription.counted_as = counted = form, mode
            self._census[counted] += 1

    def isolating(self, subscription: Subscription) -> ErrorBoundary:
        """Confine an error to this client: it loses its connection, the others are unaffected."""
        return ErrorBoundary(partial(self._abandon, subscription))

    def _abandon(self, subscription: Subscription, error: Exception) -> None:
        self.unsubscribe(subscription)
        self.failed(error)
        try:
            subscription.outlet.abort()
        except Exception as another:  # noqa: BLE001 - the hub has forgotten it; the transport cleans up the rest
            self.failed(another)
