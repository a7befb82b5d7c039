"""The watcher's settings."""

from typing import Annotated

from pydantic import Field

from services.common.settings import CommonSettings

Port = Annotated[int, Field(ge=0, le=65535)]


class WatcherSettings(CommonSettings):
    """The watcher's settings, from the environment and from `.env`."""

    watcher_host: str = Field(
        default="127.0.0.1", description="Address of the watcher's health and metrics port; do not expose it."
    )
    watcher_port: Port = Field(default=3001, description="Port of the watcher's health and metrics.")
    lease_seconds: float = Field(
        default=5.0,
        ge=1,
        le=300,
        description="Longest failover after a crash: a standby takes over when the lease expires.",
    )
    log_max_events: int = Field(
        default=100_000,
        ge=100,
        description="Maximum changes kept in Redis for gateways and clients that fall behind or reconnect.",
    )
    log_max_bytes: int = Field(
        default=536_870_912,
        ge=1024,
        description="Approximate maximum memory of these changes in Redis, in bytes; keep it well below Redis's "
        "maxmemory.",
    )
    log_max_seconds: int = Field(
        default=86_400,
        ge=1,
        description="Age in seconds at which changes are dropped from Redis; the oplog still has them.",
    )
    replay_window_seconds: int = Field(
        default=10,
        ge=0,
        description="Seconds of history in a log that is rebuilt after Redis lost it; the oplog has the rest.",
    )
    batch_max_events: int = Field(default=500, ge=1, le=10_000, description="Maximum changes in one published batch.")
    queue_max_events: int = Field(
        default=6_000, ge=1, description="Maximum changes read ahead of Redis; beyond it, reading waits for Redis."
    )
    stall_seconds: float = Field(
        default=20.0, ge=11, description="Seconds without a new resume token after which the change stream is reopened."
    )
    oplog_warning_seconds: float = Field(
        default=3600,
        ge=0,
        description="Warn when unpublished changes will fall out of the oplog within so many seconds.",
    )
