"""The settings that both services share, read from the environment and from `.env`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict


class WrongSetting(ValueError):
    """A setting that only its use has shown to be wrong; the message begins with its name."""


class LogLevel(StrEnum):
    """From which severity on a line is written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How a line is written: one JSON object for machines, or text for people."""

    JSON = "json"
    CONSOLE = "console"


MongoUri = Annotated[str, StringConstraints(pattern=r"^mongodb(\+srv)?://")]
RedisUrl = Annotated[str, StringConstraints(pattern=r"^(rediss?(\+sentinel|\+cluster)?|unix)://")]


class CommonSettings(BaseSettings):
    """Where MongoDB and Redis are, and how to log."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    mongodb_uri: MongoUri = Field(
        default="mongodb://localhost:27017/realtime_orders",
        description="MongoDB replica set; the path names the database (realtime_orders where it is missing).",
    )
    redis_url: RedisUrl = Field(
        default="redis://localhost:6379/0",
        description="Redis or Valkey, 6.2 or newer; also redis+sentinel:// and redis+cluster://, and rediss for TLS.",
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(default=LogFormat.JSON, description="json for machines, console for people.")


__all__ = ["CommonSettings", "LogFormat", "LogLevel", "MongoUri", "RedisUrl", "SecretStr"]
