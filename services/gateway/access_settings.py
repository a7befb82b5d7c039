"""The settings of who may use a gateway: where it is reached, the tokens that it takes, and where people sign in."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator

from services.common.auth import RIGHTS_CLAIM, Auth, check_public
from services.common.authority import listens_locally
from services.common.secret_files import SECRET
from services.common.settings import CommonSettings
from services.gateway.sign_in.roles import parse_roles

_MIN_SECRET_LENGTH = 32  # characters


class WithoutRights(StrEnum):
    """What a token allows that says nothing of rights."""

    NONE = "none"
    ALL = "all"


class AccessSettings(CommonSettings):
    """Each is checked against those before it; `auth`, which needs the others, comes last."""

    host: str = Field(
        default="localhost",
        description="Addresses that the gateway listens on, separated by commas; `localhost` is 127.0.0.1 and ::1.",
    )
    auth_none_on_public: bool = Field(
        default=False,
        description="`yes` allows AUTH=none although HOST is not loopback, because something else controls who "
        "reaches the gateway.",
    )
    jwt_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that signs tokens with HS256: at least 32 characters; after a comma, earlier ones that "
        "stay valid.",
        json_schema_extra=SECRET,
    )
    jwt_public_key: str = Field(
        default="",
        description="Public keys that verify tokens, in PEM, one after the other: RSA (RS256), EC P-256 (ES256) or "
        "Ed25519 (EdDSA).",
        json_schema_extra=SECRET,
    )
    jwt_jwks: Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$")] = Field(
        default="",
        description="URL of the issuer's keys (JWKS), followed when the issuer changes them; needs JWT_ISSUER and "
        "JWT_AUDIENCE.",
    )
    jwt_issuer: str = Field(default="", description="The `iss` that a token must have; if empty, `iss` is not checked.")
    jwt_audience: str = Field(
        default="", description="The `aud` that a token must have; if empty, tokens with an `aud` are refused."
    )
    jwt_leeway_seconds: float = Field(
        default=5.0, ge=0, le=300, description="Seconds by which the clocks of issuer and gateway may differ."
    )
    jwt_rights_claim: Annotated[str, StringConstraints(min_length=1)] = Field(
        default=RIGHTS_CLAIM,
        description="The claim that restricts a token to some orders: a filter as clients write it, a list of "
        'filters, or `"*"` for all orders.',
    )
    jwt_without_rights: WithoutRights = Field(
        default=WithoutRights.NONE,
        description="What a token without JWT_RIGHTS_CLAIM may see: `none` or `all` orders.",
    )
    oidc_issuer: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s?#]+)?$")] = Field(
        default="",
        description="Issuer URL of the OpenID provider with which people sign in to the page, exactly as the provider "
        "publishes it.",
    )
    oidc_client_id: str = Field(
        default="", validate_default=True, description="This service's client ID at the provider."
    )
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""),
        description="This service's client secret at the provider; empty for a public client, which only PKCE "
        "protects.",
        json_schema_extra=SECRET,
    )
    oidc_scopes: Annotated[str, StringConstraints(pattern=r"^([!-~]+ )*openid( [!-~]+)*$")] = Field(
        default="openid profile",
        description="Scopes requested from the provider; many providers need `offline_access` for sessions that renew "
        "by themselves.",
    )
    oidc_scope_claim: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="scope",
        description="Claim of the ID token that lists scopes or roles; dots lead into nested claims "
        "(`realm_access.roles`).",
    )
    oidc_roles: str = Field(
        default="",
        description="Scopes that roles in OIDC_SCOPE_CLAIM grant: `clerk=orders:read orders:write, "
        "auditor=orders:read`; `*` is everyone who can sign in. A scope's own name in the claim always grants it.",
    )
    oidc_rights_claim: str = Field(
        default="",
        description="Claim of the ID token that restricts a person to some orders; by default JWT_RIGHTS_CLAIM.",
    )
    oidc_session_seconds: int = Field(
        default=3600,
        ge=120,
        le=86_400,
        description="Seconds until a session must be renewed; it then gets the rights that the provider states at "
        "that time.",
    )
    oidc_sign_in_seconds: int = Field(
        default=43_200,
        ge=120,
        le=2_592_000,
        description="Seconds for which a session can be renewed after the sign-in; then one must sign in again.",
    )
    revocation_seconds: float = Field(
        default=86_400.0,
        ge=60,
        le=31_622_400,
        description="Seconds for which a revocation is remembered; tokens with a longer lifetime are refused.",
    )
    auth: Auth = Field(
        default=Auth.NONE,
        validate_default=True,
        description="Who may use the gateway: `none`, everyone who can reach it, without restriction; `jwt`, holders "
        "of a token, within its scopes and rights.",
    )

    @field_validator("oidc_roles")
    @classmethod
    def _check_roles(cls, roles: str) -> str:
        parse_roles(roles)
        return roles

    @field_validator("oidc_client_id")
    @classmethod
    def _check_client(cls, client_id: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not client_id:
            raise ValueError("OIDC_ISSUER needs OIDC_CLIENT_ID")
        return client_id

    @field_validator("auth")
    @classmethod
    def _check_auth(cls, auth: Auth, info: ValidationInfo) -> Auth:
        known = info.data  # without the settings that are wrong themselves
        check_public(auth, known.get("host", "localhost"), confirmed=known.get("auth_none_on_public", True))
        if auth is Auth.NONE:
            return auth
        keys = [known.get(name) for name in ("jwt_secret", "jwt_public_key", "jwt_jwks")]
        given = sum(map(bool, keys))
        if None not in keys and (given > 1 or (given == 0 and known.get("oidc_issuer") == "")):
            raise ValueError("AUTH=jwt needs OIDC_ISSUER, or exactly one of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS")
        # An issuer signs the tokens of many applications with the same keys: only the audience tells which one is ours.
        if known.get("jwt_jwks") and "" in {known.get("jwt_issuer"), known.get("jwt_audience")}:
            raise ValueError("JWT_JWKS needs JWT_ISSUER and JWT_AUDIENCE")
        if known.get("oidc_issuer") and known.get("oidc_sign_in_seconds", 0) > known.get("revocation_seconds", 0):
            raise ValueError("OIDC_ISSUER needs a REVOCATION_SECONDS of at least OIDC_SIGN_IN_SECONDS")
        return auth

    @field_validator("jwt_secret")
    @classmethod
    def _check_jwt_secret(cls, secret: SecretStr) -> SecretStr:
        return check_secrets(secret)

    @property
    def is_local(self) -> bool:
        """Whether the gateway is reachable from this machine only."""
        return listens_locally(self.host)


def check_secrets(secret: SecretStr) -> SecretStr:
    """Return it, or raise ValueError where one in it is too short."""
    # A session id allows an attacker to guess the secret offline, without any rate limit.
    if any(len(one) < _MIN_SECRET_LENGTH for one in secrets_in(secret)):
        raise ValueError(f"a secret must have at least {_MIN_SECRET_LENGTH} random characters")
    return secret


def secrets_in(setting: SecretStr) -> list[str]:
    """Return the secrets in the setting: the one that signs, then those that stay valid."""
    return [part.strip() for part in setting.get_secret_value().split(",") if part.strip()]
