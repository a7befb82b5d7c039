"""Notices a polling request that an HTTP library or a proxy sends again, because its connection broke."""

import asyncio

from aiohttp import web


class RequestTimes:
    """Remembers the last request of one kind by its `t`, the time that a client puts into each address.

    Browsers, aiohttp and nginx send one again by themselves, with the same address. What the lost answer to a GET had
    is gone, and the cursors of the later packets would hide that; the packets of a POST would be received twice.
    """

    __slots__ = ("_connection", "_time")

    def __init__(self) -> None:
        self._time: str | None = None
        self._connection: asyncio.Transport | None = None

    def is_repeated(self, request: web.BaseRequest) -> bool:
        """Note a request, and tell whether it is the last one again, over another connection."""
        time, connection = request.query.get("t"), request.transport
        repeated = time is not None and time == self._time and connection is not self._connection
        self._time, self._connection = time, connection
        return repeated
