"""The gateway's settings."""

import secrets
import socket
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from services.common.auth import RIGHTS_CLAIM, Auth, check_public
from services.common.authority import Authority, listens_locally
from services.common.secret_files import SECRET
from services.common.settings import CommonSettings

ROOT = Path(__file__).parents[2]

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024)]


_MIN_SECRET_LENGTH = 32  # characters


class WithoutRights(StrEnum):
    """What a token allows that says nothing of rights."""

    NONE = "none"
    ALL = "all"


class GatewaySettings(CommonSettings):
    """What the gateway reads from the environment and from `.env`."""

    host: str = Field(
        default="localhost",
        description="Addresses that the gateway listens on, separated by commas; `localhost` is 127.0.0.1 and ::1.",
    )
    auth_none_on_public: bool = Field(
        default=True,
        description="`no` refuses to start with AUTH=none where HOST is not loopback; `yes` says that something else "
        "decides who gets there.",
    )
    jwt_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that signs the tokens by HS256: at least 32 characters; after a comma, earlier ones that "
        "stay valid.",
        json_schema_extra=SECRET,
    )
    jwt_public_key: str = Field(
        default="",
        description="Public keys that the tokens are signed for, in PEM, one after the other: RSA (RS256), EC P-256 "
        "(ES256) or Ed25519 (EdDSA).",
        json_schema_extra=SECRET,
    )
    jwt_jwks: Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$")] = Field(
        default="",
        description="Address where the issuer publishes its keys (JWKS), which it may change; needs JWT_ISSUER and "
        "JWT_AUDIENCE.",
    )
    jwt_issuer: str = Field(default="", description="The `iss` that a token must have; empty: it is not compared.")
    jwt_audience: str = Field(
        default="", description="The `aud` that a token must have; empty: tokens for an audience are refused."
    )
    jwt_leeway_seconds: float = Field(
        default=5.0, ge=0, le=300, description="By how much the clocks of issuer and gateway may differ."
    )
    jwt_rights_claim: Annotated[str, StringConstraints(min_length=1)] = Field(
        default=RIGHTS_CLAIM,
        description="The claim that restricts a token to some orders: a filter as clients write it, several in a list, "
        'or `"*"` for all orders.',
    )
    jwt_without_rights: WithoutRights = Field(
        default=WithoutRights.NONE,
        description="What a token without this claim may see: `none` or `all` orders.",
    )
    auth: Auth = Field(
        default=Auth.NONE,
        validate_default=True,
        description="Who may use the gateway: `none` is everyone who can reach it, for everything; `jwt` those with a "
        "token, for what it says.",
    )
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
        "`@hostname` is the host's. Random by default.",
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
        "every replica; after a comma, earlier ones that stay valid. By default a secret that is kept in MongoDB.",
        json_schema_extra=SECRET,
    )
    ring_events: int = Field(default=10_000, ge=10, description="Changes that this gateway keeps in memory.")
    ring_bytes: Bytes = Field(
        default=67_108_864,
        description="Memory limit for these changes in bytes, with their cached encoded forms.",
    )
    replay_max_events: int = Field(
        default=50_000, ge=1, description="Most changes that one client is sent from the oplog; beyond, it must resync."
    )
    replay_max_age_seconds: float = Field(
        default=86_400,
        ge=0,
        description="Oldest cursor that is served from the oplog; with an older one, a client must resync.",
    )
    stale_seconds: Seconds = Field(
        default=10.0, description="Clients are notified of stale data when the watcher is silent for so long."
    )
    ping_interval_seconds: Seconds = Field(default=25.0, description="Engine.IO: seconds between pings.")
    ping_timeout_seconds: Seconds = Field(default=20.0, description="Engine.IO: seconds to wait for a pong.")
    connect_timeout_seconds: Seconds = Field(default=10.0, description="Socket.IO: seconds to wait for CONNECT.")
    sse_heartbeat_seconds: Seconds = Field(default=15.0, description="SSE: seconds between heartbeats.")
    client_stall_seconds: Seconds = Field(
        default=30.0, description="Seconds after which a client that reads nothing is dropped."
    )
    max_connections: int = Field(
        default=10_000, ge=1, description="Most clients of this gateway: websockets, streams and polling sessions."
    )
    max_connections_per_address: int = Field(
        default=1_000, ge=1, description="Most clients from one address, and as many other connections."
    )
    max_packets_per_second: float = Field(
        default=20.0, gt=0, description="Packets per second that one client may send."
    )
    max_payload_bytes: Bytes = Field(default=65_536, description="Largest accepted packet or request body.")
    client_buffer_bytes: Bytes = Field(
        default=2_097_152, description="Most bytes that wait here for one client; beyond, its connection is closed."
    )
    client_buffers_total_bytes: Bytes = Field(
        default=268_435_456,
        description="Most bytes that wait here for all clients together; beyond, those slow the longest are closed.",
    )
    drain_delay_seconds: float = Field(
        default=3.0,
        ge=0,
        le=600,
        description="Time that a gateway which stops goes on serving while it says that it is not ready, so that load "
        "balancers notice: longer than theirs between two checks, times the failures that they count.",
    )
    drain_seconds: float = Field(
        default=5.0, ge=0, le=600, description="Time over which connections are closed when the gateway stops."
    )
    web_dir: Path = Field(default=ROOT / "web", description="Folder of the web page.")
    client_dir: Path = Field(
        default=ROOT / "node_modules" / "socket.io-client" / "dist",
        description="Folder of the Socket.IO client.",
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

    @field_validator("auth")
    @classmethod
    def _check_auth(cls, auth: Auth, info: ValidationInfo) -> Auth:
        known = info.data  # without the settings that are wrong themselves
        check_public(auth, known.get("host", "localhost"), confirmed=known.get("auth_none_on_public", True))
        if auth is Auth.NONE:
            return auth
        keys = [known.get(name) for name in ("jwt_secret", "jwt_public_key", "jwt_jwks")]
        if None not in keys and sum(map(bool, keys)) != 1:
            raise ValueError("it needs one of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS, and not more than one")
        # An issuer signs the tokens of many applications with the same keys: only the audience tells which one is ours.
        if known.get("jwt_jwks") and "" in {known.get("jwt_issuer"), known.get("jwt_audience")}:
            raise ValueError("with JWT_JWKS it needs JWT_ISSUER and JWT_AUDIENCE")
        return auth

    @field_validator("recovery_secret", "jwt_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr) -> SecretStr:
        # A session id allows an attacker to guess the secret offline, without any rate limit.
        if any(len(one) < _MIN_SECRET_LENGTH for one in secrets_in(secret)):
            raise ValueError(f"a secret must have at least {_MIN_SECRET_LENGTH} random characters")
        return secret

    @property
    def is_local(self) -> bool:
        """Whether the gateway is reachable from this machine only."""
        return listens_locally(self.host)


def secrets_in(setting: SecretStr) -> list[str]:
    """Return the secrets in the setting: the one that signs, then those that stay valid."""
    return [part.strip() for part in setting.get_secret_value().split(",") if part.strip()]
