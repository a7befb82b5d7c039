"""The clients that are sent the very same bytes: those with equal interest and form."""

from collections.abc import Callable, Sequence

from services.gateway.event import SEPARATOR, Event
from services.gateway.filters import EVERYTHING, Interest, Verdict, to_text, verdict
from services.gateway.subscription import Subscription
from services.gateway.wire.form import Form

OFFSET_SEPARATOR = "~"  # between the cursor and the interest, in what Socket.IO clients send back to recover


class Group:
    """The live clients with equal interest and form: one decision, one encoding, one write each."""

    __slots__ = ("form", "interest", "live", "suffix")

    def __init__(self, interest: Interest, form: Form) -> None:
        self.interest = interest
        self.form = form
        self.suffix = offset_suffix(interest) if form in (Form.WEBSOCKET, Form.POLLING) else ""
        self.live: dict[Subscription, Callable[[bytes], None]] = {}

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return what clients of this group are sent of these events, empty if that is nothing."""
        if self.interest == EVERYTHING:
            shown = events
        else:
            shown = [seen for event in events if (seen := _seen(self.interest, event)) is not None]
        return SEPARATOR[self.form].join([event.encoded(self.form, self.suffix) for event in shown])


def offset_suffix(interest: Interest) -> str:
    """Return what is added to a cursor so that any replica can restore the client's interest from it."""
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
