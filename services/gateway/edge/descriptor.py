"""Gives the hub the file descriptor of a connection, to hand bytes to the kernel past the connection's transport."""

import asyncio
import socket

# What the kernel takes beyond what is on its way to the client. By default it takes up to 4 MB for a client that reads
# nothing: a thousand of these cost 4 GB that no limit of ours sees. What is on its way this does not bound, so it slows
# down no client that is far away.
KERNEL_UNSENT = 131_072


def unbuffered_descriptor(transport: asyncio.Transport) -> int:
    """Return the connection's file descriptor, which takes bytes while the transport has nothing unsent.

    From now on the transport has its protocol paused while anything is unsent, so whoever is not paused may write past
    it. The descriptor is the connection's until ``connection_lost`` has returned.
    """
    transport.set_write_buffer_limits(0)
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_UNSENT)
    return connection.fileno()
