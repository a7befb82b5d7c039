"""Gives the hub a connection's file descriptor, so that it can write to the kernel past the connection's transport."""

import asyncio
import socket

# Bytes that the kernel buffers beyond those in flight to the client. By default it buffers up to 4 MB for a client that
# reads nothing: a thousand of these cost 4 GB that no limit of ours sees. Bytes in flight are not limited by this, so
# distant clients are not slowed down.
KERNEL_UNSENT = 131_072


def unbuffered_descriptor(transport: asyncio.Transport) -> int:
    """Return the connection's file descriptor, which takes bytes while the transport has nothing unsent.

    From now on the transport pauses its protocol while anything is unsent, so the hub may write past it while the
    protocol is not paused. The descriptor is the connection's until ``connection_lost`` has returned.
    """
    transport.set_write_buffer_limits(0)
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_UNSENT)
    return connection.fileno()
