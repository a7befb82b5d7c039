"""Reads secret settings from files as well, since `docker inspect` and process lists show the environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, PydanticBaseSettingsSource

from services.common.error_text import error_text

SECRET: dict[str, Any] = {"secret": True}
"""The mark of such a setting: `Field(…, json_schema_extra=SECRET)`. `NAME_FILE` then names a file with its value."""

_LARGEST = 65_536


class WrongSetting(ValueError):
    """A setting whose use has shown it to be wrong; the message begins with its name."""


def hosts_of(uri: str) -> str:
    """Return the hosts of a URI for messages, and nothing of its user and password."""
    authority, further = _authority(uri)
    if "@" in further:  # a password with a slash in it looks like a port and a path
        return "an address that cannot be read"
    return authority.rpartition("@")[2]


def unusable_uri(name: str, uri: str, error: Exception) -> WrongSetting:
    """Return our error for a URI that its driver cannot parse. Drivers quote what they stumble over: the password."""
    if "@" in _authority(uri)[1]:
        return WrongSetting(f"{name}: write / ? # and @ in a user or password as %2F %3F %23 and %40")
    return WrongSetting(f"{name}: {error_text(error)}")


def _authority(uri: str) -> tuple[str, str]:
    """Split what follows the scheme where its first path, query or fragment begins."""
    authority, *further = re.split(r"(?=[/?#])", uri.partition("://")[2], maxsplit=1)
    return authority, "".join(further)


class SettingsWithSecrets(BaseSettings):
    """Settings; those marked as SECRET may be read from a named file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a folder of files with fixed names
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Give a file named by a source the same precedence as a value of that source."""
        sources: list[PydanticBaseSettingsSource] = [init_settings]
        for source in (env_settings, dotenv_settings):
            if isinstance(source, (EnvSettingsSource, DotEnvSettingsSource)):
                sources.append(_SecretFiles(settings_cls, source.env_vars))
            sources.append(source)
        return tuple(sources)


def secret_fields(settings: type[BaseSettings]) -> list[str]:
    """Return the names of the fields that may be read from files."""
    return [name for name, field in settings.model_fields.items() if field.json_schema_extra is SECRET]


class _SecretFiles(PydanticBaseSettingsSource):
    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def __call__(self) -> dict[str, Any]:
        """Return the values of the named files."""
        values: dict[str, Any] = {}
        for name in secret_fields(self.settings_cls):
            path = self._variables.get(f"{name}_file")
            if not path:
                continue
            if self._variables.get(name):
                raise WrongSetting(f"{name.upper()}_FILE: {name.upper()} is set, too: set only one of them")
            values[name] = _content(name, Path(path))
        return values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Unused, because `__call__` is overridden."""
        return None, field_name, False


def _content(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise WrongSetting(f"{name.upper()}_FILE: {path} cannot be read: {reason}") from error
    value = content.strip()
    if not value or len(content) > _LARGEST:
        raise WrongSetting(f"{name.upper()}_FILE: {path} is {'too large' if value else 'empty'}")
    return value
