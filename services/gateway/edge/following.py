"""What a client of either transport has of the stream, and gives back when it leaves."""

from typing import Any

from services.common.deadlines import Entry
from services.gateway.edge.bearers import Bearer
from services.gateway.edge.lifetime import Lifetime
from services.gateway.hub import Hub
from services.gateway.snapshot_stream import SnapshotStream
from services.gateway.subscription import Subscription


class Following:
    """A client that the hub serves. Subclasses have the slots."""

    __slots__ = ()

    _hub: Hub
    _stall: Entry[Any] | None  # while it takes nothing
    subscription: Subscription | None
    lifetime: Lifetime | None  # where it ends with a token
    snapshot: SnapshotStream | None  # where it is shown the orders first
    bearer: Bearer | None  # where its token can be revoked

    def _go_on(self) -> None:
        """Resume it in the hub: its connection takes data again."""
        self._cancel_stall()
        if self.subscription is not None:
            self._hub.resume(self.subscription)
        if self.snapshot is not None:
            self.snapshot.resumed()

    def _leave(self) -> None:
        """Leave the hub and all that would end the client; idempotent.

        Its stall goes on: a stream that has ended is still cut off where its client does not take the rest.
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
