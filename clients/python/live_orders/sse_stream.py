"""One connection by Server-Sent Events."""

import json
from collections.abc import AsyncGenerator

from live_orders.event_parser import EventParser, EventTooLong
from live_orders.server import Server, Unavailable
from live_orders.stream import Connect, StreamEvent, Target


def over_sse(server: Server) -> Connect:
    """Return what connects by Server-Sent Events."""

    async def connect(target: Target, since: str | None) -> AsyncGenerator[StreamEvent, None]:
        headers = {} if since is None else {"Last-Event-ID": since}
        parser = EventParser()
        async with server.stream(target.path, target.query, headers) as content:
            try:
                async for piece in content.iter_any():
                    for event in parser.feed(piece):
                        if event.name == "connected":
                            yield StreamEvent("retry", parser.retry or 0.0, None)
                        yield StreamEvent(event.name, json.loads(event.data) if event.data else None, event.id)
            except EventTooLong as error:
                raise Unavailable(str(error)) from error

    return connect
