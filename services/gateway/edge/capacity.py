"""Computes how many connections and how many clients one gateway can have."""

from typing import NamedTuple

from services.front.descriptors import RESERVE, allow_descriptors, last_for_connections, most_connections


class Capacity(NamedTuple):
    """The most clients (websockets, streams, polling sessions), and the most TCP connections, theirs included.

    Connections exceed clients, so that a full gateway still answers REST requests and health checks.
    """

    clients: int
    connections: int
    last_descriptor: int


def capacity(clients: int) -> Capacity:
    """Return the capacity for that many clients, raising the descriptor limit where needed and allowed."""
    wanted = clients + _headroom(clients)
    descriptors = allow_descriptors(wanted + RESERVE)
    connections = min(wanted, most_connections(descriptors))
    at_most = connections if connections == wanted else connections - min(_headroom(connections), connections // 4)
    return Capacity(min(clients, max(1, at_most)), connections, last_for_connections(descriptors))


def _headroom(number: int) -> int:
    return max(256, number // 8)
