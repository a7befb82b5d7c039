"""What `make run` can be told by the environment and by `.env`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.settings import LogFormat, MongoUri, RedisUrl

Port = Annotated[int, Field(ge=1, le=65535)]


class EmbeddedSettings(BaseSettings):
    """Where the embedded stack listens and keeps its data; a URI that is given replaces the embedded server."""

    # An empty MONGODB_URI= in .env means: none given.
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    data_dir: Path = Field(default=Path(".data"), description="Folder for the data of the embedded servers.")
    embedded_mongodb_port: Port = Field(default=27117, description="Port of the embedded MongoDB.")
    embedded_redis_port: Port = Field(default=6479, description="Port of the embedded Redis (Valkey).")
    mongodb_uri: MongoUri | None = Field(default=None, description="A MongoDB of one's own, in place of the embedded.")
    redis_url: RedisUrl | None = Field(default=None, description="A Redis of one's own, in place of the embedded.")
    port: Port = Field(default=3000, description="Port of the gateway.")
    watcher_port: Port = Field(default=3001, description="Port of the watcher's health and metrics.")
    log_format: LogFormat = Field(default=LogFormat.CONSOLE, description="How the services log; here for people.")
