"""The gateway's settings."""

import hashlib
import socket
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import NoDecode

from services.common.settings import CommonSettings

ROOT = Path(__file__).parents[2]

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024)]


class GatewaySettings(CommonSettings):
    """What the gateway reads from the environment and from `.env`."""

    host: str = Field(default="0.0.0.0", description="Address that the gateway listens on.")
    port: Port = Field(default=3000, description="Port that the gateway listens on.")
    server_name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]*$")] = Field(
        default="", description="Name of this replica in `connected` and in session ids; by default the host's."
    )
    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Other origins whose pages may connect, separated by commas; compared exactly."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(), description="Load balancers whose X-Forwarded-For is believed: networks, separated by commas."
    )
    recovery_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Signs the session ids that Socket.IO clients recover with; the same on every replica. "
        "By default it is made from MONGODB_URI.",
    )
    ring_events: int = Field(default=10_000, ge=10, description="Changes that this gateway remembers itself.")
    ring_bytes: Bytes = Field(
        default=67_108_864,
        description="Most bytes of such changes, of each form they are sent in.",
    )
    replay_max_events: int = Field(
        default=50_000, ge=1, description="Most changes that a client is sent from the oplog; beyond, it loads anew."
    )
    replay_max_age_seconds: float = Field(
        default=86_400,
        ge=0,
        description="How old a cursor may be that is served from the oplog; with an older one, a client loads anew.",
    )
    stale_seconds: Seconds = Field(
        default=10.0, description="Clients are told that what they see is old when the watcher is silent for so long."
    )
    ping_interval_seconds: Seconds = Field(default=25.0, description="Engine.IO: seconds between two pings.")
    ping_timeout_seconds: Seconds = Field(default=20.0, description="Engine.IO: seconds that a pong may take.")
    connect_timeout_seconds: Seconds = Field(default=10.0, description="Socket.IO: seconds that CONNECT may take.")
    sse_heartbeat_seconds: Seconds = Field(default=15.0, description="SSE: seconds between two heartbeats.")
    client_stall_seconds: Seconds = Field(
        default=30.0, description="A client that reads nothing for so long is dropped."
    )
    max_connections: int = Field(default=10_000, ge=1, description="Most connections of this gateway.")
    max_connections_per_address: int = Field(default=1_000, ge=1, description="Most connections from one address.")
    max_packets_per_second: float = Field(default=20.0, gt=0, description="Packets that one client may send a second.")
    max_payload_bytes: Bytes = Field(default=65_536, description="Largest packet or request body that is taken.")
    client_buffer_bytes: Bytes = Field(
        default=2_097_152, description="Most bytes that wait here for a client; one that is to be told more is closed."
    )
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, description="Over how long connections are closed when the gateway stops."
    )
    web_dir: Path = Field(default=ROOT / "web", description="Folder of the web page.")
    client_dir: Path = Field(
        default=ROOT / "node_modules" / "socket.io-client" / "dist",
        description="Folder of the Socket.IO client.",
    )

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _derive(self) -> Self:
        if not self.server_name:
            object.__setattr__(self, "server_name", socket.gethostname())
        if not self.recovery_secret.get_secret_value():
            digest = hashlib.sha256(b"recovery:" + self.mongodb_uri.encode()).hexdigest()
            object.__setattr__(self, "recovery_secret", SecretStr(digest))
        return self
