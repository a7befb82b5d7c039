"""Checks whether a TCP port of this machine is taken, and finds a free one."""

import errno
import random
import socket
from contextlib import suppress

from services.embedded.errors import EmbeddedError

# Below the ports that systems give to outgoing connections, one of which could take a port before its server does.
_FIRST, _LAST = 15_000, 32_000


def free_port() -> int:
    """Return a port that nothing uses, at random, so that it is hardly ever given to two."""
    while True:
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
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
