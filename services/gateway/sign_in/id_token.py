"""Checks what an OpenID provider signs: ID tokens (Core, 3.1.3.7) and logout tokens (Back-Channel Logout, 2.6)."""

from collections.abc import Mapping, Sequence
from secrets import compare_digest
from time import time
from typing import Any, NamedTuple

import jwt

from services.gateway.edge.principal import NotAuthenticated
from services.gateway.edge.tokens import LONGEST_SUBJECT, TokenRules, VerifyingKey, verified_claims

_LONGEST = 32_768  # characters; providers write the groups of a person into it
_LONGEST_ID = 255
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
_OLDEST_LOGOUT = 600.0  # seconds; a provider sends it at once


class UnacceptableToken(Exception):
    """The provider's token is not one for us; the message contains nothing of it."""


class Logout(NamedTuple):
    """Who has signed out at the provider: a session of it, or all of a subject."""

    subject: str | None
    provider_session: str | None
    id: str
    issued_at: float


def id_claims(token: str, keys: Sequence[VerifyingKey], rules: TokenRules, nonce: str | None) -> Mapping[str, Any]:
    """Return the claims of an ID token; raise UnacceptableToken or UnknownKey.

    ``nonce`` is the one that was sent, None for a token that came by a refresh token.
    """
    claims = _claims(token, keys, rules, ["exp", "iat", "iss", "aud", "sub"])
    audience = claims["aud"]
    authorized = claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    if authorized != rules.audience and (several or authorized is not None):
        raise UnacceptableToken("it was issued to another client")
    if nonce is not None and not _equal(claims.get("nonce"), nonce):
        raise UnacceptableToken("it belongs to another sign-in")
    if not _is_id(claims["sub"], LONGEST_SUBJECT):
        raise UnacceptableToken("its subject is unusable")
    return claims


def logout_of(token: str, keys: Sequence[VerifyingKey], rules: TokenRules) -> Logout:
    """Return what a logout token tells; raise UnacceptableToken or UnknownKey."""
    claims = _claims(token, keys, rules, ["exp", "iat", "iss", "aud", "jti", "events"])
    events, subject, session = claims["events"], claims.get("sub"), claims.get("sid")
    if not isinstance(events, Mapping) or not isinstance(events.get(_LOGOUT), Mapping):
        raise UnacceptableToken("it is not a logout token")
    if "nonce" in claims:  # an ID token in disguise
        raise UnacceptableToken("it has a nonce")
    if subject is None and session is None:
        raise UnacceptableToken("it names neither a subject nor a session")
    for name in ("jti", "sub", "sid"):
        if name in claims and not _is_id(claims[name], _LONGEST_ID):
            raise UnacceptableToken(f"its {name} is unusable")
    issued_at = float(claims["iat"])
    if time() - issued_at > _OLDEST_LOGOUT + rules.leeway:
        raise UnacceptableToken("it is too old")
    return Logout(subject, session, claims["jti"], issued_at)


def _claims(token: str, keys: Sequence[VerifyingKey], rules: TokenRules, required: list[str]) -> Mapping[str, Any]:
    if len(token) > _LONGEST:
        raise UnacceptableToken("it is too long")
    try:
        return verified_claims(token, keys, rules, required)
    except NotAuthenticated as error:
        raise UnacceptableToken("its signature is not the provider's") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UnacceptableToken(f"it is not valid: {type(error).__name__}") from error


def _equal(one: object, other: str) -> bool:
    return isinstance(one, str) and compare_digest(one.encode(errors="replace"), other.encode())


def _is_id(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
