"""Finds out how many file descriptors this process may have, and gets as many as it needs where that is allowed."""

import os
import resource
import sys

RESERVE = 128  # for MongoDB (its driver opens up to a hundred), Redis and files; connections of clients leave them free


def allow_descriptors(needed: int) -> int:
    """Raise this process's limit to ``needed`` as far as the system allows; return how many it may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed if soft == resource.RLIM_INFINITY else soft
    reachable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    except (ValueError, OSError):  # macOS has a limit of its own below the hard one
        return soft
    return reachable


def most_connections(descriptors: int) -> int:
    """Return how many connections there may be with so many descriptors."""
    return max(1, descriptors - _reserve(descriptors))


def last_for_connections(descriptors: int) -> int:
    """Return the highest descriptor that a connection may get. Higher ones are given out only where all lower are used.

    So the number that a new connection has got tells whether they run out, whatever uses them.
    """
    return descriptors - _reserve(descriptors) // 2


def lowest_free(some: int) -> int:
    """Return the lowest descriptor that is free, or one higher than any may be; ``some`` is one that is open."""
    try:
        descriptor = os.dup(some)
    except OSError:
        return sys.maxsize
    os.close(descriptor)
    return descriptor


def _reserve(descriptors: int) -> int:
    return min(RESERVE, descriptors // 4)
