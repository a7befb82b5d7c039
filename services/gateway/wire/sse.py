"""Writes Server-Sent Events, the text format of the HTML standard's section 9.2."""


def event(name: str, data: bytes, id: str = "") -> bytes:
    """Return one event; ``data`` is JSON on a single line, the client sends ``id`` back as `Last-Event-ID`."""
    head = f"id: {id}\nevent: {name}\ndata: " if id else f"event: {name}\ndata: "
    return head.encode() + data + b"\n\n"


def mark(id: str) -> bytes:
    """Return a block that moves the client's last event id without an event; it serves as heartbeat too."""
    return f"id: {id}\n\n".encode()


def comment(text: str) -> bytes:
    """Return a line that clients ignore."""
    return f": {text}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """Return the field that sets how long the client waits before it reconnects."""
    return f"retry: {milliseconds}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """Wrap bytes as one chunk of HTTP/1.1's chunked transfer coding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
