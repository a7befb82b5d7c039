"""The watcher's settings."""

from typing import Annotated

from pydantic import Field

from services.common.settings import CommonSettings

Port = Annotated[int, Field(ge=0, le=65535)]


class WatcherSettings(CommonSettings):
    """What the watcher reads from the environment and from `.env`."""

    watcher_host: str = Field(
        default="127.0.0.1", description="Address of the watcher's health and metrics port; not for strangers."
    )
    watcher_port: Port = Field(default=3001, description="Port of the watcher's health and metrics.")
    lease_seconds: float = Field(
        default=5.0, ge=1, le=300, description="How long a watcher that died keeps the others waiting."
    )
    log_max_events: int = Field(
        default=100_000, ge=100, description="Changes that Redis keeps for readers that fell behind or come back."
    )
    replay_window_seconds: int = Field(
        default=10, ge=0, description="How much history a log that Redis lost is rebuilt with; the oplog has the rest."
    )
    batch_max_events: int = Field(default=500, ge=1, le=10_000, description="Most changes published at once.")
    queue_max_events: int = Field(
        default=6_000, ge=1, description="Changes read ahead of Redis; then reading waits for Redis."
    )
    stall_seconds: float = Field(
        default=20.0, ge=11, description="Reopen the change stream when its resume token has not moved for so long."
    )
    oplog_warning_seconds: float = Field(
        default=3600, ge=0, description="Warn when the oplog will hold what is not published for no longer than this."
    )
