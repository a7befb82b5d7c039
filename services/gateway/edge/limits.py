"""Says what a client may cost, and names every limit that can be hit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from services.gateway.wire.form import Form


class Incident(StrEnum):
    """What is counted: refusals, and ends of connections that were not the client's wish."""

    BAD_REQUEST = "bad_request"
    ORIGIN_REFUSED = "origin_refused"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_FROM_ADDRESS = "too_many_from_address"
    OUT_OF_DESCRIPTORS = "out_of_descriptors"
    EVICTED = "evicted"
    SILENT = "silent"
    HEAD_TOO_SLOW = "head_too_slow"
    STOPPING = "stopping"
    MALFORMED_PACKET = "malformed_packet"
    PAYLOAD_TOO_BIG = "payload_too_big"
    BODY_TOO_SLOW = "body_too_slow"
    OVERLAPPING_REQUESTS = "overlapping_requests"
    RATE_EXCEEDED = "rate_exceeded"
    TOO_MANY_EVENTS = "too_many_events"
    PING_TIMEOUT = "ping_timeout"
    CONNECT_TIMEOUT = "connect_timeout"
    UPGRADE_FAILED = "upgrade_failed"
    SLOW_CONSUMER = "slow_consumer"
    APPLICATION_ERROR = "application_error"


Count = Callable[[Incident], None]


OnDisconnect = Callable[[Form, str], None]
"""Told when a client has gone: over what it was connected, and why it has gone."""


def count_nothing(_: Incident) -> None:
    """Ignore an incident, where nobody keeps figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Times are in seconds, sizes in bytes; what is refused or closed when a limit is hit stands beside it."""

    server_name: str = ""  # ends the session ids, so that a load balancer knows whose session it is
    ping_interval: float = 25.0
    ping_timeout: float = 20.0  # without a pong: closed
    connect_timeout: float = 10.0  # without a namespace, or with half a packet: closed
    upgrade_timeout: float = 10.0  # probed but not upgraded: the probe is closed, polling goes on
    close_timeout: float = 5.0  # asked to close but does not: cut off
    body_timeout: float = 30.0  # a POST that trickles in: 408, closed
    max_payload: int = 65_536  # websocket: close 1009; POST: 413
    max_connections: int = 10_000  # 503
    max_connections_per_address: int = 1_000  # 429
    packets_per_second: float = 20.0  # more, after a burst: closed
    packets_burst: int = 100
    max_queued_events: int = 100  # events that wait for a handler of the same socket: closed
    max_attachments: int = 10  # malformed
    max_depth: int = 32  # malformed
    max_unsent: int = 2_097_152  # what is unsent when the client is sent one more packet of its own: closed
    poll_buffer: int = 131_072  # fan-out that waits for the next poll: no more is written until it has come
    max_packets_per_poll: int = 16  # the others go with the next poll; python-engineio takes no more at once
    max_packets_per_poll_of_browser: int = 256  # where the client is known to take any number
    allowed_origins: frozenset[str] = field(default_factory=frozenset)  # besides the same origin; "*" for any
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # whose X-Forwarded-For is believed
