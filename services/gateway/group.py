"""The clients that receive identical bytes: those with equal interest and form."""

from collections.abc import Iterator, Sequence

from services.gateway.event import SEPARATOR, Event
from services.gateway.filters import EVERYTHING, Interest, Verdict, to_text, verdict
from services.gateway.recipients import Recipients
from services.gateway.subscription import Subscription
from services.gateway.wire.form import Form

# One write to a client that catches up, before its backpressure is checked again and other clients get their turn:
PAGE = 100  # events at most,
PAGE_BYTES = 65_536  # of no more bytes than this, or a single larger one

OFFSET_SEPARATOR = "~"  # between the cursor and the interest, in what Socket.IO clients send back to recover


class SentBytes:
    """Counts the bytes of changes that were written in one form; all groups of the form share it."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Group:
    """The live clients with equal interest and form: one decision, one encoding, one write each."""

    __slots__ = ("_live", "_recipients", "form", "interest", "sent", "suffix")

    def __init__(self, interest: Interest, form: Form, sent: SentBytes) -> None:
        self.interest = interest
        self.form = form
        self.sent = sent
        self.suffix = offset_suffix(interest) if form in (Form.WEBSOCKET, Form.POLLING) else ""
        self._live: dict[Subscription, int | None] = {}  # with the file descriptor to each
        self._recipients: Recipients[Subscription] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def join(self, subscription: Subscription) -> None:
        """Add a client that becomes live."""
        self._live[subscription] = subscription.outlet.descriptor
        self._recipients = None

    def leave(self, subscription: Subscription) -> None:
        """Remove a client that is no longer live."""
        del self._live[subscription]
        self._recipients = None

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._live))

    @property
    def key(self) -> tuple[Interest, Form]:
        """The interest and form that its clients share."""
        return self.interest, self.form

    def recipients(self) -> Recipients[Subscription]:
        """Return the clients that are live now."""
        if self._recipients is None:
            live = self._live.items()
            self._recipients = Recipients([(client, client.outlet.write, socket) for client, socket in live])
        return self._recipients

    def first_page(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the longest prefix of these events that one write may hold, at least one event if there is any."""
        page = events[:PAGE]
        size = 0
        for count, event in enumerate(page):
            size += len(event.envelope) + len(self.suffix)
            if count and size > PAGE_BYTES:
                return page[:count]
        return page

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the bytes that this group's clients get for these events; empty if no event concerns them."""
        if self.interest == EVERYTHING:
            shown = events
        else:
            shown = [seen for event in events if (seen := _seen(self.interest, event)) is not None]
        return SEPARATOR[self.form].join([event.encoded(self.form, self.suffix) for event in shown])


def offset_suffix(interest: Interest) -> str:
    """Return the suffix to a cursor from which any replica can restore the client's interest."""
    text = to_text(interest)
    return OFFSET_SEPARATOR + text if text else ""


def _seen(interest: Interest, event: Event) -> Event | None:
    match verdict(interest, event):
        case Verdict.SHOW:
            return event
        case Verdict.LEFT:
            return event.left
        case Verdict.HIDE:
            return None
