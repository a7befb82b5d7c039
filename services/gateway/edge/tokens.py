"""Verifies JSON Web Tokens (RFC 7519) as RFC 8725 asks: one algorithm for each key, whatever the token says."""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import inf
from time import time
from typing import Any, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.common.error_text import error_text
from services.common.visible_fields import ALL_FIELDS
from services.gateway.audience import Rights
from services.gateway.edge.principal import LONGEST_TOKEN, Denial, NotAuthenticated, Principal, Scope
from services.gateway.filters import EVERYTHING, NOTHING, InvalidFilter, parse_filter, union

LONGEST_SUBJECT = 255
LONGEST_TOKEN_ID = 255
_LEAST_RSA_BITS = 2048
_MOST_KEYS = 100  # of a JWKS
_LONGEST_KID = 200
_ALL_ROWS = "*"
NOT_CLAIMED = object()
_END = b"-----END PUBLIC KEY-----"


class Algorithm(StrEnum):
    """The signatures that are accepted."""

    HS256 = "HS256"
    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class UnusableKey(ValueError):
    """The key is of no use here; the message does not contain it."""


class UnknownKey(Exception):
    """No known key has the id that the token names; the issuer may have a new one."""


class VerifyingKey(NamedTuple):
    """A key with the one algorithm that it is used for, so that nobody can take a public key for a shared secret."""

    key: Any
    algorithm: Algorithm
    kid: str | None = None


class TokenRules(NamedTuple):
    """What a token must say besides its signature; None for an issuer or audience that is not asked for.

    ``longest_life`` is in seconds, from issue to expiry.
    """

    issuer: str | None
    audience: str | None
    leeway: float
    rights_claim: str
    all_rows_by_default: bool
    longest_life: float = inf


def keys_of_secrets(secrets: Iterable[str]) -> list[VerifyingKey]:
    """Return the keys for HS256."""
    return [VerifyingKey(secret.encode(), Algorithm.HS256) for secret in secrets]


def keys_of_pem(text: str) -> list[VerifyingKey]:
    """Return the public keys in PEM, one after the other; raise UnusableKey."""
    blocks = [block + _END for block in text.encode().split(_END)[:-1]]
    if not blocks:
        raise UnusableKey("it contains no PUBLIC KEY in PEM")
    try:
        return [_public_key(load_pem_public_key(block)) for block in blocks]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey(
            error_text(error) if isinstance(error, UnusableKey) else "it is not a public key in PEM"
        ) from error


def keys_of_jwks(document: bytes) -> list[VerifyingKey]:
    """Return the usable keys of a JWKS (RFC 7517), skipping the others; raise UnusableKey where there is none."""
    try:
        listed = json.loads(document)["keys"][:_MOST_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnusableKey("it is not a JWKS") from error
    found = [key for each in listed if (key := _of_jwk(each)) is not None]
    if not found:
        raise UnusableKey("it has no public key for RS256, ES256 or EdDSA")
    return found


def _of_jwk(jwk: object) -> VerifyingKey | None:
    # Symmetric keys have no place in a public document: whoever can read it could sign.
    if not isinstance(jwk, Mapping) or jwk.get("kty") not in {"RSA", "EC", "OKP"} or jwk.get("use", "sig") != "sig":
        return None
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= _LONGEST_KID):
        return None
    try:
        key = _public_key(jwt.PyJWK({**jwk}, algorithm=_algorithm_of(jwk)).key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key._replace(kid=kid) if jwk.get("alg", key.algorithm) == key.algorithm else None


def _algorithm_of(jwk: Mapping[str, object]) -> str:
    return {"RSA": Algorithm.RS256, "EC": Algorithm.ES256}.get(str(jwk["kty"]), Algorithm.EDDSA).value


def _public_key(key: object) -> VerifyingKey:
    match key:
        case RSAPublicKey():
            if key.key_size < _LEAST_RSA_BITS:
                raise UnusableKey(f"an RSA key must have at least {_LEAST_RSA_BITS} bits")
            return VerifyingKey(key, Algorithm.RS256)
        case EllipticCurvePublicKey():
            if not isinstance(key.curve, SECP256R1):
                raise UnusableKey("an EC key must be of the curve P-256")
            return VerifyingKey(key, Algorithm.ES256)
        case Ed25519PublicKey():
            return VerifyingKey(key, Algorithm.EDDSA)
        case _:
            raise UnusableKey("it must be a public key: RSA, EC P-256 or Ed25519")


def verify(token: str, keys: Sequence[VerifyingKey], rules: TokenRules) -> Principal:
    """Return the principal that a token names; raise NotAuthenticated or UnknownKey."""
    if len(token) > LONGEST_TOKEN:
        raise NotAuthenticated(Denial.TOKEN_INVALID)
    try:
        claims = verified_claims(token, keys, rules, ["exp", "sub"])
        return _principal(claims, rules)
    except jwt.ExpiredSignatureError as error:
        raise NotAuthenticated(Denial.TOKEN_EXPIRED) from error
    except jwt.ImmatureSignatureError as error:
        raise NotAuthenticated(Denial.TOKEN_NOT_YET_VALID) from error
    except (jwt.PyJWTError, InvalidFilter, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise NotAuthenticated(Denial.TOKEN_INVALID) from error


def verified_claims(token: str, keys: Sequence[VerifyingKey], rules: TokenRules, required: list[str]) -> dict[str, Any]:
    """Return the claims of a token that is signed, in time, and for us.

    Raise NotAuthenticated, UnknownKey or PyJWTError.
    """
    header = jwt.get_unverified_header(token)
    for key in _candidates(header, keys):
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm.value],
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway,
                options={"require": required},
            )
        except jwt.InvalidSignatureError:
            continue
    raise NotAuthenticated(Denial.TOKEN_INVALID)


def _candidates(header: Mapping[str, Any], keys: Sequence[VerifyingKey]) -> list[VerifyingKey]:
    fitting = [key for key in keys if key.algorithm == header.get("alg")]
    kid = header.get("kid")
    if kid is None:
        return fitting
    named = [key for key in fitting if key.kid is None or key.kid == kid]  # keys of settings have no name
    if not named and header.get("alg") in set(Algorithm):
        raise UnknownKey
    return named


def _principal(claims: Mapping[str, Any], rules: TokenRules) -> Principal:
    subject = claims["sub"]
    if not isinstance(subject, str) or not is_subject(subject):
        raise NotAuthenticated(Denial.TOKEN_INVALID)
    expires_at, issued_at = float(int(claims["exp"])), _issued_at(claims)
    # A token that outlives the memory of its revocation would be good again. Without the time of its issue, how long it
    # still lives is all that is known.
    born = time() + rules.leeway if issued_at is None else issued_at
    if expires_at - born > rules.longest_life:
        raise NotAuthenticated(Denial.TOKEN_TOO_LONG)
    return Principal(
        subject,
        _scopes(claims),
        rights_of(claims.get(rules.rights_claim, NOT_CLAIMED), rules.all_rows_by_default),
        expires_at + rules.leeway,
        _token_id(claims),
        issued_at,
    )


def _issued_at(claims: Mapping[str, Any]) -> float | None:
    return float(claims["iat"]) if "iat" in claims else None


def _token_id(claims: Mapping[str, Any]) -> str | None:
    if "jti" not in claims:
        return None
    token_id = claims["jti"]
    # One that no revocation could name could not be revoked.
    if not isinstance(token_id, str) or not is_token_id(token_id):
        raise NotAuthenticated(Denial.TOKEN_INVALID)
    return token_id


def is_subject(text: str) -> bool:
    """Tell whether tokens may have this subject."""
    return 0 < len(text) <= LONGEST_SUBJECT and text.isprintable()


def is_token_id(text: str) -> bool:
    """Tell whether tokens may have this id."""
    return 0 < len(text) <= LONGEST_TOKEN_ID and text.isprintable()


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """Read `scope` (RFC 8693, separated by spaces) or `scp` (a list); unknown ones are other services'."""
    claimed = claims.get("scope", claims.get("scp", ""))
    names = claimed.split() if isinstance(claimed, str) else claimed
    if not isinstance(names, list):
        raise NotAuthenticated(Denial.TOKEN_INVALID)
    return frozenset(scope for scope in Scope if scope.value in names)


def rights_of(claimed: object, all_rows_by_default: bool) -> Rights:
    """Read the rights: one filter, a list of filters of which any may fit, or "*" for all orders.

    Raise InvalidFilter or NotAuthenticated.
    """
    if claimed is NOT_CLAIMED:
        return EVERYTHING if all_rows_by_default else NOTHING
    if claimed == _ALL_ROWS:
        return EVERYTHING
    rights = union(map(parse_filter, claimed if isinstance(claimed, list) else [claimed]), ALL_FIELDS)
    # An empty filter fits every order: more likely somebody's mistake than meant.
    if any(each in EVERYTHING or "\0" in "".join([*(each.customer_name or ())]) for each in rights):
        raise NotAuthenticated(Denial.TOKEN_INVALID)
    return rights
