"""The forms in which an event can be encoded for the wire."""

from enum import Enum


class Form(Enum):
    """Clients with the same form get identical bytes, encoded once."""

    WEBSOCKET = "websocket"
    POLLING = "polling"
    SSE = "sse"  # in the chunks of HTTP/1.1
    SSE_PLAIN = "sse_plain"  # for HTTP/1.0, which has no chunks

    __hash__ = object.__hash__  # the one of Enum is written in Python, and each connect needs a dozen
