"""Checks whether a TCP port of this machine is taken, and finds a free one."""

import errno
import fcntl
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from services.embedded.errors import EmbeddedError

# Below the ports that systems give to outgoing connections, one of which could take a port before its server does.
_FIRST, _LAST = 15_000, 32_000


def free_port() -> int:
    """Return a port that nothing uses, and that nobody else of this user is given before all others had their turn.

    Between this and the moment when a server listens, processes that look for a free one at the same time would find
    it, too: one of the two servers could not start, and who waits for it would take the other one for it.
    """
    with (Path(tempfile.gettempdir()) / f"next-free-port-{os.getuid()}").open("a+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        turn.seek(0)
        port = int(turn.read() or _LAST)
        while True:
            port = port + 1 if port < _LAST else _FIRST
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("", port))
                break
        turn.truncate(0)
        turn.write(str(port))
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
