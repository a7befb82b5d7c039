"""The settings that both services share, read from the environment and from `.env`."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_settings import NoDecode, SettingsConfigDict

from services.common.secret_files import SECRET, SettingsWithSecrets, WrongSetting
from services.common.stream_spec import DEFAULT_DATABASE
from services.common.visible_fields import ALL_FIELDS, VisibleFields


class LogLevel(StrEnum):
    """The lowest severity that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """The format of a line: one JSON object for machines, or text for people."""

    JSON = "json"
    CONSOLE = "console"


MongoUri = Annotated[str, StringConstraints(pattern=r"^mongodb(\+srv)?://")]
RedisUrl = Annotated[str, StringConstraints(pattern=r"^(rediss?(\+sentinel|\+cluster)?|unix)://")]


class CommonSettings(SettingsWithSecrets):
    """Where MongoDB and Redis are, and how to log."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    mongodb_uri: MongoUri = Field(
        default=f"mongodb://localhost:27017/{DEFAULT_DATABASE}",
        description=f"MongoDB replica set; the path names the database (default: {DEFAULT_DATABASE}).",
        json_schema_extra=SECRET,
    )
    redis_url: RedisUrl = Field(
        default="redis://localhost:6379/0",
        description="Redis or Valkey, 6.2 or newer; also redis+sentinel:// and redis+cluster://, and rediss for TLS.",
        json_schema_extra=SECRET,
    )
    visible_fields: Annotated[VisibleFields, NoDecode, BeforeValidator(VisibleFields.parse)] = Field(
        default=ALL_FIELDS,
        description="Fields of the orders that clients may see, separated by commas; `*` for all. `_id` is always "
        "visible. The same for watchers and gateways.",
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(default=LogFormat.JSON, description="json for machines, console for people.")


__all__ = ["CommonSettings", "LogFormat", "LogLevel", "MongoUri", "RedisUrl", "SecretStr", "WrongSetting"]
