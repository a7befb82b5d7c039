"""The settings of Engine.IO."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Times are in seconds, sizes in bytes; each comment says what happens when the limit is hit."""

    server_name: str = ""  # suffix of the session ids, by which a load balancer finds the session's replica
    ping_interval: float = 25.0
    ping_timeout: float = 20.0  # without a pong: closed
    connect_timeout: float = 10.0  # without a namespace, or with half a packet: closed
    upgrade_timeout: float = 10.0  # a websocket that has not taken over from polling: closed, polling goes on
    close_timeout: float = 5.0  # no answer to a close: cut off
    body_timeout: float = 30.0  # a slow POST body: 408, closed
    max_payload: int = 65_536  # websocket: close 1009; POST: 413
    max_connections: int = 10_000  # 503
    max_connections_per_address: int = 1_000  # 429
    packets_per_second: float = 20.0  # more, after a burst: closed
    packets_burst: int = 100
    max_queued_events: int = 100  # events that wait for a handler of the same socket: closed
    max_attachments: int = 10  # malformed
    max_depth: int = 32  # malformed
    max_unsent: int = 2_097_152  # unsent bytes when another packet is sent to this client alone: closed
    poll_buffer: int = 131_072  # fan-out bytes that wait for the next poll: paused until it comes
    max_unsent_of_all: int = 268_435_456  # unsent bytes of all clients together: some slow ones are cut off
    max_packets_per_poll: int = 16  # the rest goes with the next poll; python-engineio takes no more at once
    max_packets_per_poll_of_browser: int = 256  # for clients that are known to take any number
