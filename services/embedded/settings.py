"""The settings of `make run`, from the environment and from `.env`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.auth import Auth, check_public
from services.common.authority import LOOPBACKS, listen_addresses, listens_locally
from services.common.secret_files import SECRET, SettingsWithSecrets
from services.common.settings import LogFormat, MongoUri, RedisUrl
from services.embedded.binaries import Way

Port = Annotated[int, Field(ge=1, le=65535)]


class EmbeddedSettings(SettingsWithSecrets):
    """Where the embedded stack listens and keeps its data; setting a URI replaces the embedded server."""

    # An empty MONGODB_URI= in .env means that none is set.
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    data_dir: Path = Field(default=Path(".data"), description="Folder for the data of the embedded servers.")
    embedded_mongodb_port: Port = Field(default=27117, description="Port of the embedded MongoDB.")
    embedded_redis_port: Port = Field(default=6479, description="Port of the embedded Redis (Valkey).")
    embedded_servers: Way = Field(
        default=Way.AUTO,
        description="How MongoDB and Redis run: `wheels` (programs of this machine), `docker` (containers), or `auto`: "
        "wheels if installed, else Docker.",
    )
    mongodb_uri: MongoUri | None = Field(
        default=None, description="Your own MongoDB, instead of the embedded one.", json_schema_extra=SECRET
    )
    redis_url: RedisUrl | None = Field(
        default=None, description="Your own Redis, instead of the embedded one.", json_schema_extra=SECRET
    )
    host: str = Field(default="localhost", description="Addresses that the gateway listens on, separated by commas.")
    auth_none_on_public: bool = Field(default=False, description="As for the gateway.")
    jwt_secret: SecretStr = Field(default=SecretStr(""), description="As for the gateway.", json_schema_extra=SECRET)
    jwt_public_key: str = Field(default="", description="As for the gateway.", json_schema_extra=SECRET)
    jwt_jwks: str = Field(default="", description="As for the gateway.")
    auth: Auth = Field(default=Auth.NONE, validate_default=True, description="As for the gateway.")
    port: Port = Field(default=3000, description="Port of the gateway.")
    admin_port: Port = Field(default=3002, description="Port of the gateway for operators, on loopback.")
    watcher_port: Port = Field(default=3001, description="Port of the watcher's health and metrics.")
    drain_seconds: float = Field(
        default=0.2, ge=0, description="As for the gateway; short, so that Ctrl-C stops at once."
    )
    log_format: LogFormat = Field(default=LogFormat.CONSOLE, description="How the services log; here for people.")

    @field_validator("auth")
    @classmethod
    def _check_auth(cls, auth: Auth, info: ValidationInfo) -> Auth:
        host, confirmed = info.data.get("host", "localhost"), info.data.get("auth_none_on_public", True)
        check_public(auth, host, confirmed=confirmed)
        return auth

    @property
    def needs_key(self) -> bool:
        """Whether tokens are asked for, and no key of one's own verifies them."""
        return self.auth is Auth.JWT and not (
            self.jwt_secret.get_secret_value() or self.jwt_public_key or self.jwt_jwks
        )

    @property
    def url(self) -> str:
        """The URL of the page on this machine."""
        hosts = listen_addresses(self.host)
        answers_to_localhost = not hosts or not {"0.0.0.0", "::", *LOOPBACKS}.isdisjoint(hosts)
        host = "localhost" if answers_to_localhost else hosts[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the gateway."""
        return listens_locally(self.host)
