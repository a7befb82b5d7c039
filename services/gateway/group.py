"""The clients that receive identical bytes: those with equal audience and form."""

from collections.abc import Iterator, Sequence

from services.gateway.audience import Audience, view_of
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
    """The live clients with equal audience and form: one decision, one encoding, one write each."""

    __slots__ = (
        "_live",
        "_recipients",
        "_unknown",
        "audience",
        "form",
        "is_empty",
        "sent",
        "shown",
        "suffix",
        "view",
    )

    def __init__(self, audience: Audience, form: Form, sent: SentBytes) -> None:
        self.audience = audience
        self.shown = audience.shown
        self._unknown = audience.unknown
        self.form = form
        self.sent = sent
        # Without the rights: a recovering client gets those of its present token. The view tells if they are others.
        self.suffix = offset_suffix(audience.interest) if form in (Form.WEBSOCKET, Form.POLLING) else ""
        self.view = view_of(audience.rights)
        self._live: dict[Subscription, int | None] = {}  # each with its file descriptor
        self.is_empty = True
        self._recipients: Recipients[Subscription] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def join(self, subscription: Subscription) -> None:
        """Add a client that becomes live."""
        self._live[subscription] = subscription.outlet.descriptor
        self.is_empty = False
        self._recipients = None

    def leave(self, subscription: Subscription) -> None:
        """Remove a client that is no longer live."""
        del self._live[subscription]
        self.is_empty = not self._live
        self._recipients = None

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._live))

    @property
    def key(self) -> tuple[Audience, Form]:
        """The audience and form that its clients share."""
        return self.audience, self.form

    def recipients(self) -> Recipients[Subscription]:
        """Return the clients that are live now."""
        if self._recipients is None:
            live = self._live.items()
            self._recipients = Recipients([(client, client.outlet.write, descriptor) for client, descriptor in live])
        return self._recipients

    def first_page(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the longest prefix of these events that one write may hold, at least one event if there is any."""
        page = events[:PAGE]
        size = 0
        for count, event in enumerate(page):
            size += len(event.envelope) + len(self.suffix) + len(self.view)
            if count and size > PAGE_BYTES:
                return page[:count]
        return page

    def encode(self, events: Sequence[Event]) -> bytes | None:
        """Return the bytes that this group's clients get for these events; empty if no event concerns them.

        None where it cannot be told whether they may see one of the events: they must reload.
        """
        told: Sequence[Event] = events
        if self.shown != EVERYTHING:
            told = []
            for event in events:
                match verdict(self.shown, event, self._unknown):
                    case Verdict.SHOW:
                        told.append(event)
                    case Verdict.LEFT:
                        told.append(event.left)
                    case Verdict.UNKNOWN:
                        return None
                    case Verdict.HIDE:
                        pass
        return SEPARATOR[self.form].join([event.encoded(self.form, self.suffix, self.view) for event in told])


def offset_suffix(interest: Interest) -> str:
    """Return the suffix to a cursor from which any replica can restore the client's interest."""
    text = to_text(interest)
    return OFFSET_SEPARATOR + text if text else ""
