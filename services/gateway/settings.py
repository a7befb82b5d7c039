"""The gateway's settings."""

import secrets
import socket
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import NoDecode

from services.common.authority import Authority
from services.common.secret_files import SECRET
from services.gateway.access_settings import AccessSettings, check_secrets
from services.gateway.edge.fair_share import Limit
from services.gateway.edge.quota import Quota, Use
from services.gateway.mongodb_gate import AT_ONCE

ROOT = Path(__file__).parents[2]

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024)]


_LIMITS = {f"limit_{use}": use for use in Use}


class GatewaySettings(AccessSettings):
    """What the gateway reads from the environment and from `.env`."""

    port: Port = Field(default=3000, description="Port that the gateway listens on.")
    admin_host: str = Field(
        default="127.0.0.1", description="Address of the gateway's port for operators; do not expose it."
    )
    admin_port: Port = Field(
        default=3002, description="Port for operators: detailed readiness and metrics. 0 picks a free one."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Host names under which clients reach this gateway, separated by commas; `*.example.com` covers "
        "all subdomains, `*` any name. Loopback names are always allowed, IP addresses where HOST is not loopback.",
    )
    server_name: Annotated[str, StringConstraints(pattern=r"^(@hostname|[0-9A-Za-z._-]*)$")] = Field(
        default="",
        validate_default=True,
        description="Name of this replica in `connected` and at the end of session ids, visible to clients; "
        "`@hostname` uses the host's name. Random by default.",
    )
    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Other origins whose pages may connect, separated by commas, with scheme and port; `*` for any.",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(),
        description="Load balancers whose X-Forwarded-For and X-Forwarded-Proto are trusted: networks, separated by "
        "commas.",
    )
    recovery_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Signs the session ids with which Socket.IO clients recover: at least 32 characters, the same on "
        "every replica; after a comma, earlier ones that stay valid. By default, a secret kept in MongoDB.",
        json_schema_extra=SECRET,
    )
    ring_events: int = Field(
        default=10_000,
        ge=10,
        description="Changes that this gateway keeps in memory (the ring), and for a while up to twice as many, unless "
        "RING_BYTES is reached.",
    )
    ring_bytes: Bytes = Field(
        default=67_108_864,
        description="Maximum memory of the ring in bytes, with the cached encoded forms of its changes.",
    )
    replay_max_events: int = Field(
        default=50_000,
        ge=1,
        description="Maximum changes that one client is sent from the oplog; a client that missed more must resync.",
    )
    replay_max_age_seconds: float = Field(
        default=86_400,
        ge=0,
        description="Age in seconds of the oldest cursor that is served from the oplog; a client with an older one "
        "must resync.",
    )
    stale_seconds: Seconds = Field(
        default=10.0,
        description="Seconds of silence from the watcher after which clients are told that their data may be stale.",
    )
    ping_interval_seconds: Seconds = Field(default=25.0, description="Engine.IO: seconds between pings.")
    ping_timeout_seconds: Seconds = Field(default=20.0, description="Engine.IO: seconds to wait for a pong.")
    connect_timeout_seconds: Seconds = Field(default=10.0, description="Socket.IO: seconds to wait for CONNECT.")
    sse_heartbeat_seconds: Seconds = Field(default=15.0, description="SSE: seconds between heartbeats.")
    client_stall_seconds: Seconds = Field(
        default=30.0, description="Seconds after which a client that reads nothing is dropped."
    )
    max_connections: int = Field(
        default=10_000,
        ge=1,
        description="Maximum clients of this gateway: websockets, event streams and polling sessions.",
    )
    max_connections_per_address: int = Field(
        default=1_000,
        ge=1,
        description="Maximum clients from one address; its other connections have a limit of the same size.",
    )
    max_connections_per_subject: int | None = Field(
        default=None,
        ge=1,
        description="Maximum clients with tokens of one subject, from all addresses together. By default "
        "MAX_CONNECTIONS_PER_ADDRESS.",
    )
    limit_reads: str = Field(
        default="6000/60",
        description="Requests for single orders and short lists from one subject, or without a token from one address. "
        "`N/SECONDS`: N requests at once, refilled evenly over SECONDS; `0` or `off`: no limit.",
    )
    limit_writes: str = Field(default="3000/60", description="The same for writes.")
    limit_expensive: str = Field(
        default="1200/60", description="The same for lists of more than 100 orders, and for requests that cost as much."
    )
    limit_handshakes: str = Field(
        default="6000/60", description="The same for new clients over Socket.IO or SSE, and for renewed tokens."
    )
    limit_subscribes: str = Field(default="6000/60", description="The same for changes of filters over Socket.IO.")
    limit_deep_resumes: str = Field(
        default="1200/60",
        description="The same for clients that come back with a cursor which only the oplog can serve; beyond it, "
        "they must resync.",
    )
    max_mongodb_requests: int = Field(
        default=AT_ONCE,
        ge=1,
        le=90,
        description="Maximum requests that this gateway passes to MongoDB at once; others wait half a second at most, "
        "in turns by subject or address, and then get 503.",
    )
    max_packets_per_second: float = Field(default=20.0, gt=0, description="Maximum packets per second from one client.")
    max_payload_bytes: Bytes = Field(default=65_536, description="Largest accepted packet or request body, in bytes.")
    client_buffer_bytes: Bytes = Field(
        default=2_097_152, description="Maximum unsent bytes for one client; beyond it, its connection is closed."
    )
    client_buffers_total_bytes: Bytes = Field(
        default=268_435_456,
        description="Maximum unsent bytes for all clients together; beyond it, slow ones are cut off.",
    )
    drain_delay_seconds: float = Field(
        default=3.0,
        ge=0,
        le=600,
        description="How long a stopping gateway keeps serving while /readyz says no; longer than the load balancer's "
        "check interval times its failure threshold.",
    )
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, description="Seconds over which connections are closed when the gateway stops."
    )
    web_dir: Path = Field(default=ROOT / "web", description="Folder of the web page.")
    client_dir: Path = Field(
        default=ROOT / "node_modules" / "socket.io-client" / "dist",
        description="Folder of the Socket.IO client.",
    )
    library_dir: Path = Field(
        default=ROOT / "clients" / "js" / "src", description="Folder of the client library for browsers."
    )

    @field_validator("allowed_hosts", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            known = Authority.parse(host.removeprefix("*."))
            if host != "*" and (known is None or known.port is not None):
                raise ValueError(f"{host!r} is not a host name without scheme and port")
        return hosts

    @field_validator("server_name")
    @classmethod
    def _name(cls, name: str) -> str:
        # Not the host's by default: the name is public.
        return socket.gethostname() if name == "@hostname" else name or secrets.token_hex(4)

    @field_validator(*_LIMITS)
    @classmethod
    def _check_limit(cls, limit: str) -> str:
        Quota.parse(limit)
        return limit

    @field_validator("recovery_secret")
    @classmethod
    def _check_recovery_secret(cls, secret: SecretStr) -> SecretStr:
        return check_secrets(secret)

    @property
    def limits(self) -> dict[Use, Limit]:
        """What each use is limited to; one that the operator has set holds for every address."""
        named = {
            _LIMITS[name]: (Quota.parse(getattr(self, name)), name not in self.model_fields_set) for name in _LIMITS
        }
        return {use: Limit(quota, is_default) for use, (quota, is_default) in named.items() if quota is not None}
