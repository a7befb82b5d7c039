"""What the clients of Socket.IO and of SSE have in common: they resume in the hub, and leave it."""

from typing import Any

from services.common.deadlines import Entry
from services.gateway.edge.bearers import Bearer
from services.gateway.edge.lifetime import Lifetime
from services.gateway.hub import Hub
from services.gateway.snapshot_stream import SnapshotStream
from services.gateway.subscription import Subscription


class HubClient:
    """A client that the hub serves: the base of `LiveClient` and `SseStream`, which declare `__slots__`."""

    __slots__ = ()

    _hub: Hub
    _stall: Entry[Any] | None  # the deadline of a client that takes nothing
    subscription: Subscription | None
    lifetime: Lifetime | None  # where it ends with a token
    snapshot: SnapshotStream | None  # where it is sent the orders first
    bearer: Bearer | None  # where its token can be revoked

    def _resume(self) -> None:
        """Resume it in the hub, and its snapshot: its connection takes data again."""
        self._cancel_stall()
        if self.subscription is not None:
            self._hub.resume(self.subscription)
        if self.snapshot is not None:
            self.snapshot.resumed()

    def _leave(self) -> None:
        """Leave the hub, and cancel everything that would end the client later; idempotent.

        The stall deadline stays: a stream that has ended is still cut off if its client does not take the rest.
        """
        if self.lifetime is not None:
            self.lifetime.cancel()
        if self.snapshot is not None:
            self.snapshot.stop()
        if self.bearer is not None:
            self.bearer.leave()
        if self.subscription is not None:
            self._hub.unsubscribe(self.subscription)

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None  # type: ignore[misc]  # a slot of the subclasses
