"""Gives a connection that was understood to the protocol that serves it from then on, and its place with it."""

import asyncio
from typing import ClassVar

from services.front.connections import Place, Seat, State


class Counted:
    """A protocol whose connection has a place among those that are silent or HTTP's."""

    __slots__ = ()

    _place: Place | None

    def hand_over(self, state: State) -> Seat | None:
        """Let somebody else have the connection, to whom the place then belongs."""
        place, self._place = self._place, None  # type: ignore[misc]  # a slot of the subclasses
        return None if place is None else place.become(state)


class Taken(asyncio.Protocol):
    """A protocol that takes a connection over; a subclass that overrides `connection_lost` calls this one's."""

    __slots__ = ("seat",)

    state: ClassVar[State]

    def __init__(self) -> None:
        self.seat: Seat | None = None  # None where nobody counts

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Give the place back."""
        seat, self.seat = self.seat, None
        if seat is not None:
            seat.leave()


def give(transport: asyncio.Transport, protocol: Taken, seat: Seat | None = None) -> None:
    """Let ``protocol`` have a connection that nobody else knows of any more; its place, where none is given."""
    before = transport.get_protocol()
    protocol.seat = before.hand_over(protocol.state) if seat is None and isinstance(before, Counted) else seat
    transport.set_protocol(protocol)
    try:
        protocol.connection_made(transport)
    except BaseException:
        transport.abort()  # nobody else would close it
        raise
