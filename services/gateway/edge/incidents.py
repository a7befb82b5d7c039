"""Names the incidents that are counted, and the reasons why clients disconnect."""

from collections.abc import Callable
from enum import StrEnum

from services.gateway.wire.form import Form


class IncidentKind(StrEnum):
    """The kinds of incidents that are counted: refusals, and connections that the client did not close itself."""

    BAD_REQUEST = "bad_request"
    HOST_REFUSED = "host_refused"
    ORIGIN_REFUSED = "origin_refused"
    TOKEN_REFUSED = "token_refused"
    SCOPE_MISSING = "scope_missing"
    UNREADABLE_ADDRESS = "unreadable_address"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_FROM_ADDRESS = "too_many_from_address"
    TOO_MANY_OF_SUBJECT = "too_many_of_subject"
    OUT_OF_DESCRIPTORS = "out_of_descriptors"
    EVICTED = "evicted"
    SILENT = "silent"
    HEAD_TOO_SLOW = "head_too_slow"
    STOPPING = "stopping"
    MALFORMED_PACKET = "malformed_packet"
    PAYLOAD_TOO_BIG = "payload_too_big"
    BODY_TOO_SLOW = "body_too_slow"
    OVERLAPPING_REQUESTS = "overlapping_requests"
    REPEATED_REQUESTS = "repeated_requests"
    RATE_EXCEEDED = "rate_exceeded"
    READS_LIMITED = "reads_limited"
    WRITES_LIMITED = "writes_limited"
    EXPENSIVE_LIMITED = "expensive_limited"
    HANDSHAKES_LIMITED = "handshakes_limited"
    SUBSCRIBES_LIMITED = "subscribes_limited"
    DEEP_RESUMES_LIMITED = "deep_resumes_limited"
    OVERLOADED = "overloaded"
    TOO_MANY_EVENTS = "too_many_events"
    PING_TIMEOUT = "ping_timeout"
    CONNECT_TIMEOUT = "connect_timeout"
    UPGRADE_FAILED = "upgrade_failed"
    SLOW_CONSUMER = "slow_consumer"
    APPLICATION_ERROR = "application_error"


Count = Callable[[IncidentKind], None]


class DisconnectReason(StrEnum):
    """Why a client has disconnected. The names of the reference server, where it has one."""

    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"
    PARSE_ERROR = "parse error"
    PING_TIMEOUT = "ping timeout"
    CLIENT_LEFT = "client namespace disconnect"
    SENT_AWAY = "server namespace disconnect"
    SLOW_CONSUMER = "slow consumer"
    SERVER_ERROR = "server error"
    SHUTTING_DOWN = "server shutting down"
    STREAM_MISSING = "the stream is not there yet"
    TOKEN_EXPIRED = "token_expired"  # as the client is told, like the next
    TOKEN_REVOKED = "token_revoked"


OnDisconnect = Callable[[Form, DisconnectReason], None]
"""Called when a client has disconnected, with its wire form and the reason."""


def count_nothing(_: IncidentKind) -> None:
    """Ignore an incident."""
