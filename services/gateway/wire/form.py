"""Names the shapes in which one event can be put on the wire."""

from enum import Enum


class Form(Enum):
    """Clients of equal form are sent the very same bytes, encoded once."""

    WEBSOCKET = "websocket"
    POLLING = "polling"
    SSE = "sse"  # in the chunks of HTTP/1.1
    SSE_PLAIN = "sse_plain"  # for HTTP/1.0, which knows no chunks
