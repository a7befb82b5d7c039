"""The groups of the clients that are live, and the fan-out of each change to them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from services.gateway.audience import Audience
from services.gateway.event import Event
from services.gateway.group import Group, SentBytes
from services.gateway.interest_index import InterestIndex
from services.gateway.subscription import Subscription
from services.gateway.wire.form import Form

# Of one fan-out: each encodes an event for a group, in some 10 µs. A thousand clients of one address, each with a
# filter of its own, and a batch of 500 orders would be half a million.
MOST_ENCODINGS = 1000


class FannedOut(NamedTuple):
    """The number of writes, and the clients of which it is unknown whether they may see an event."""

    writes: int
    undecided: list[Subscription]


class Groups:
    """An event is encoded for those groups that it may concern.

    A group whose last client has left is removed later: to take fifty values out of the index takes 40 µs, and hundreds
    of clients may leave at once, or be postponed and come back.
    """

    def __init__(self, defer: Callable[[str, Callable[[], None]], None]) -> None:
        """``defer`` is called with an account, and something to do when it is its turn."""
        self._defer = defer
        self._groups: dict[tuple[Audience, Form], Group] = {}
        self._emptied: set[Group] = set()  # to be looked at once more; some have clients again
        self._count = 0
        self._index: InterestIndex[Group] = InterestIndex()
        self._sent = {form: SentBytes() for form in Form}

    def __len__(self) -> int:
        """How many have clients."""
        return self._count

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def sent_bytes(self, form: Form) -> int:
        """Return how many bytes of changes were written in this form, also to clients that catch up."""
        return self._sent[form].count

    def find(self, audience: Audience, form: Form) -> Group:
        """Return the group that such a client joins once it is live."""
        group = self._groups.get((audience, form))
        return Group(audience, form, self._sent[form]) if group is None else group

    def join(self, subscription: Subscription) -> None:
        """Add a client that becomes live; its own group may have been replaced by an equal one."""
        known = self._groups.get(subscription.group.key)
        group = subscription.group if known is None else known
        was_empty = group.is_empty
        group.join(subscription)
        subscription.group = group
        self._count += was_empty
        if known is None:
            self._groups[group.key] = group
            self._index.add(group, group.shown)

    def leave(self, subscription: Subscription) -> None:
        """Remove a client that is no longer live."""
        group = subscription.group
        group.leave(subscription)
        if group.is_empty:
            self._count -= 1
            if group not in self._emptied:
                self._emptied.add(group)
                self._defer(subscription.account, partial(self._remove, group))

    def _remove(self, group: Group) -> None:
        self._emptied.remove(group)
        if group.is_empty:
            del self._groups[group.key]
            self._index.remove(group, group.shown)

    def fan_out(
        self,
        events: Sequence[Event],
        failed: Callable[[Subscription, Exception], None],
        postpone: Callable[[Subscription], None],
    ) -> FannedOut:
        """Send events to the clients that they concern; ``failed`` is called for each client that must be given up.

        ``postpone`` is called for clients for whom this would take too long; when it returns, they are live no more.
        """
        # Recipients are fixed before the first write: a client that a write pauses counts as having been sent these.
        candidates = self._concerned(events, postpone)
        due = []
        undecided: list[Subscription] = []
        for group, concerning in candidates.items():
            try:
                data = group.encode(concerning)
                if data is None:
                    undecided += group
                else:
                    due.append((group.sent, data, group.recipients()))
            except Exception as error:  # noqa: BLE001 - the event or the filter is at fault, not the other groups
                for subscription in group:
                    failed(subscription, error)
        writes = 0
        for sent, data, recipients in due:
            if data:
                clients = len(recipients)
                writes += clients
                sent.count += clients * len(data)
                recipients.write(data, failed)
        return FannedOut(writes, undecided)

    def _concerned(self, events: Sequence[Event], postpone: Callable[[Subscription], None]) -> dict[Group, list[Event]]:
        """Return the events that may concern each group; where they are too many, for the larger groups only."""
        candidates: dict[Group, list[Event]] = {}
        encodings = 0
        for event in events:
            for group in self._candidates(event):
                if not group.is_empty:
                    candidates.setdefault(group, []).append(event)
                    encodings += 1
            if encodings > MOST_ENCODINGS:
                encodings -= _make_room(candidates, encodings - MOST_ENCODINGS, postpone)
        return candidates

    def _candidates(self, event: Event) -> Iterable[Group]:
        try:
            return self._index.candidates(event)
        except Exception:  # noqa: BLE001 - a broken event: let each group fail by itself
            return self._groups.values()


def _make_room(candidates: dict[Group, list[Event]], excess: int, postpone: Callable[[Subscription], None]) -> int:
    """Postpone the clients of the smallest groups until ``excess`` encodings are saved; return how many are saved.

    A postponed client is served by itself and needs encodings of its own, so a small group costs least later. One group
    stays in any case.
    """
    removed = 0
    for group in sorted(candidates, key=lambda group: (len(group), -len(candidates[group]))):
        if removed >= excess or len(candidates) == 1:
            break
        removed += len(candidates.pop(group))
        for subscription in group:
            postpone(subscription)
    return removed
