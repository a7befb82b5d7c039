"""Gives the hub a connection's file descriptor, so that it can write to the kernel past the connection's transport."""

import asyncio


def unbuffered_descriptor(transport: asyncio.Transport) -> int:
    """Return the connection's file descriptor, which takes bytes while the transport has nothing unsent.

    From now on the transport pauses its protocol while anything is unsent, so the hub may write past it while the
    protocol is not paused. The descriptor is the connection's until ``connection_lost`` has returned.
    """
    transport.set_write_buffer_limits(0)
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor
