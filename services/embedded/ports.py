"""Checks whether a TCP port of this machine is taken, and finds a free one."""

import errno
import socket

from services.embedded.errors import EmbeddedError


def free_port() -> int:
    """Return a port without a listener; the system does not reassign it soon, so the race is small."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, *, purpose: str, advice: str) -> None:
    """Raise EmbeddedError if `port` cannot be listened on; `advice` says how to choose another one."""
    with socket.socket() as probe:
        # Without it, old connections would keep the port taken for a minute after the last run.
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
