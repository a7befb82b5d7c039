"""The watcher's settings."""

from typing import Annotated

from pydantic import Field

from services.common.settings import CommonSettings

Port = Annotated[int, Field(ge=0, le=65535)]


class WatcherSettings(CommonSettings):
    """The watcher's settings, from the environment and from `.env`."""

    watcher_host: str = Field(
        default="127.0.0.1", description="Address of the watcher's health and metrics port; not for the public."
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
        description="Changes kept in Redis for gateways and clients that fall behind or reconnect.",
    )
    log_max_bytes: int = Field(
        default=536_870_912,
        ge=1024,
        description="Most memory that these changes take in Redis, about; well below its maxmemory.",
    )
    log_max_seconds: int = Field(
        default=86_400, ge=1, description="Age at which changes are dropped from Redis; the oplog still has them."
    )
    replay_window_seconds: int = Field(
        default=10, ge=0, description="Seconds of history in a rebuilt log after Redis lost it; the oplog has the rest."
    )
    batch_max_events: int = Field(default=500, ge=1, le=10_000, description="Most changes in one published batch.")
    queue_max_events: int = Field(
        default=6_000, ge=1, description="Most changes read ahead of Redis; beyond, reading waits for Redis."
    )
    stall_seconds: float = Field(
        default=20.0, ge=11, description="Reopen the change stream when its resume token has not moved for this long."
    )
    oplog_warning_seconds: float = Field(
        default=3600, ge=0, description="Warn when unpublished changes will fall out of the oplog within this time."
    )
