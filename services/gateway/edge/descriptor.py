"""Gives the hub the file descriptor of a connection, to hand bytes to the kernel past the connection's transport."""

import asyncio


def unbuffered_descriptor(transport: asyncio.Transport) -> int:
    """Return the connection's file descriptor, which takes bytes while the transport has nothing unsent.

    From now on the transport has its protocol paused while anything is unsent, so whoever is not paused may write past
    it. The descriptor is the connection's until ``connection_lost`` has returned.
    """
    transport.set_write_buffer_limits(0)
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor
