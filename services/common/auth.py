"""Who may use the gateway: what it and the stack of `make run` must agree on."""

from enum import StrEnum

from services.common.authority import listens_locally

DEVELOPMENT_KEY = "token.key"
"""The file in the data folder of `make run` with the secret of its tokens, which `make token` signs with."""
DEVELOPMENT_ISSUER = "make token"
RIGHTS_CLAIM = "rights"


class Auth(StrEnum):
    """Who may use the gateway."""

    NONE = "none"
    JWT = "jwt"


def check_public(auth: Auth, host: str, *, confirmed: bool) -> None:
    """Raise ValueError where everyone could do everything, from other machines too, unless the operator wants that."""
    if auth is Auth.NONE and not confirmed and not listens_locally(host):
        raise ValueError(
            f"anyone who can reach {host or 'any address of this machine'} could read, change and delete every order; "
            "set AUTH=jwt, a HOST of this machine only, or AUTH_NONE_ON_PUBLIC=yes if something else decides who gets "
            "there"
        )
