"""Finds the MongoDB for a command: MONGODB_URI, else that of the `make run` in this folder, else the default."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from pymongo import MongoClient
from pymongo.errors import ConfigurationError

from services.common.running_stack import running_stack
from services.common.secret_files import SECRET, SettingsWithSecrets, hosts_of, unusable_uri
from services.common.settings import CommonSettings, MongoUri


class Target(NamedTuple):
    """A URI, and a phrase that names it and the reason for the choice, without secrets."""

    uri: str
    sentence: str


class _TargetSettings(SettingsWithSecrets):
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    data_dir: Path = Path(".data")
    mongodb_uri: MongoUri | None = Field(default=None, json_schema_extra=SECRET)


def find_target() -> Target:
    """Read the environment, `.env` and the data folder; raise ValidationError or WrongSetting."""
    settings = _TargetSettings()
    stack = running_stack(settings.data_dir)
    running = None if stack is None else stack.mongodb_uri
    # `make run` sets MONGODB_URI for its own commands: no user has named that server.
    if running is not None and (settings.mongodb_uri is None or hosts_of(running) == hosts_of(settings.mongodb_uri)):
        return Target(settings.mongodb_uri or running, f"the embedded MongoDB of `make run`, at {hosts_of(running)}")
    if settings.mongodb_uri is not None:
        sentence = f"MongoDB at {hosts_of(settings.mongodb_uri)}, which MONGODB_URI names"
        if running is not None:
            sentence += f", not the one of the `make run` that runs here, at {hosts_of(running)}"
        return Target(settings.mongodb_uri, sentence)
    default = CommonSettings().mongodb_uri
    why = f"as MONGODB_URI is not set and no `make run` uses {settings.data_dir}"
    return Target(default, f"MongoDB at {hosts_of(default)}, the default, {why}")


def mongo_client(uri: str, **options: Any) -> MongoClient[dict[str, Any]]:
    """Return a client, not connected yet; raise WrongSetting for a URI that cannot be used."""
    try:
        return MongoClient(uri, **options)
    except (ConfigurationError, ValueError, OSError) as error:
        raise unusable_uri("MONGODB_URI", uri, error) from None
