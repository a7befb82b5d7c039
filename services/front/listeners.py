"""Binds a port on every address that a setting names."""

import asyncio
import errno
import socket
from contextlib import ExitStack

import structlog

from services.common.authority import listen_addresses

_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

log = structlog.get_logger(__name__)


async def listening_sockets(hosts: str, port: int) -> list[socket.socket]:
    """Return one bound socket for each address; if ``port`` is 0, all share the first free port.

    On a machine without IPv6, IPv6 addresses are skipped as long as there are others. Raise OSError.
    """
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    lacking: OSError | None = None
    with ExitStack() as undo:
        for host in listen_addresses(hosts) or ("",):
            passive = socket.AI_PASSIVE
            found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=passive)
            for family, _, _, _, address in dict.fromkeys(found):
                chosen = sockets[0].getsockname()[1] if sockets else port
                try:
                    listener = _bound(family, (address[0], chosen, *address[2:]))
                except OSError as error:
                    if family != socket.AF_INET6 or error.errno not in _NOT_HERE:
                        raise
                    log.info("Skipped a listen address that this machine does not have", address=address[0])
                    lacking = error
                    continue
                undo.callback(listener.close)
                sockets.append(listener)
        if not sockets:
            raise lacking or OSError(errno.EADDRNOTAVAIL, f"no address to listen on: {hosts!r}")
        undo.pop_all()
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    with ExitStack() as undo:
        listener = socket.socket(family, socket.SOCK_STREAM)
        undo.callback(listener.close)
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` is IPv6 only, so that `0.0.0.0,::` can be given.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        undo.pop_all()
    return listener
