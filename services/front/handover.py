"""Hands a connection over to the protocol that serves it from then on, together with its slot.

Two ways lead here. `front.py` gives a plain websocket handshake to its protocol before aiohttp has seen a byte, because
aiohttp's task, parser and request are half the cost of a connect. `gateway/edge/takeover.py` takes a connection over
after aiohttp has parsed its request: for SSE, and for handshakes that are not plain. Only the second, and
`http_connection.py`, use aiohttp's private attributes of a connection. There is no fallback: the upper bound in
`pyproject.toml` keeps other versions out, and when it is raised, `test_websocket_takeover.py` fails first.
"""

import asyncio
from typing import ClassVar

from services.front.connections import SharedSlot, Slot, State


class SlotHolder:
    """A protocol whose connection has a slot as silent or HTTP."""

    __slots__ = ()

    _slot: Slot | None

    def release_to(self, state: State) -> SharedSlot | None:
        """Give the slot up to another protocol, which gets one for its own state."""
        slot, self._slot = self._slot, None  # type: ignore[misc]  # subclasses declare it in `__slots__`
        return None if slot is None else slot.upgrade(state)


class Successor(asyncio.Protocol):
    """Serves a connection after another protocol; a subclass that overrides `connection_lost` calls this one's."""

    __slots__ = ("slot",)

    state: ClassVar[State]

    def __init__(self) -> None:
        self.slot: SharedSlot | None = None  # None where connections are not counted

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Free the slot."""
        slot, self.slot = self.slot, None
        if slot is not None:
            slot.release()


def hand_over(transport: asyncio.Transport, protocol: Successor, slot: SharedSlot | None = None) -> None:
    """Give ``protocol`` sole ownership of a connection; without ``slot``, also the current protocol's slot."""
    before = transport.get_protocol()
    protocol.slot = before.release_to(protocol.state) if slot is None and isinstance(before, SlotHolder) else slot
    transport.set_protocol(protocol)
    try:
        protocol.connection_made(transport)
    except BaseException:
        transport.abort()  # nobody else would close it
        raise
