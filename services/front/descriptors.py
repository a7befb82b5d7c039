"""Determines this process's limit of file descriptors, and raises it as far as needed and allowed."""

import os
import resource
import sys

RESERVE = 128  # for MongoDB (its driver opens up to a hundred), Redis and files; clients never get these


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
    """Return the most connections that fit into so many descriptors."""
    return max(1, descriptors - _reserve(descriptors))


def last_for_connections(descriptors: int) -> int:
    """Return the highest descriptor that a connection may get.

    The system always assigns the lowest free one, so the number of a new connection shows whether descriptors run out,
    whatever uses them.
    """
    return descriptors - _reserve(descriptors) // 2


def lowest_free(some: int) -> int:
    """Return the lowest free descriptor, or a number above all if none is free; ``some`` is any open one."""
    try:
        descriptor = os.dup(some)
    except OSError:
        return sys.maxsize
    os.close(descriptor)
    return descriptor


def _reserve(descriptors: int) -> int:
    return min(RESERVE, descriptors // 4)
