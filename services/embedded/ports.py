"""TCP ports of this machine: whether one is taken, and one that is free."""

import errno
import socket

from services.embedded.errors import EmbeddedError


def free_port() -> int:
    """A port that nobody listens on now; the system does not hand it out again soon, so the race is small."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, *, purpose: str, advice: str) -> None:
    """Raise EmbeddedError if `port` cannot be listened on; `advice` says how to choose another one."""
    with socket.socket() as probe:
        # Without it the port would count as taken for a minute after the last run, because of old connections.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = (
                "is taken: stop what listens there" if taken else f"cannot be used ({error.strerror}): get the right to"
            )
            message = f"Port {port}, meant for {purpose}, {reason}, or {advice}."
            raise EmbeddedError(message) from error
