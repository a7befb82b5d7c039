"""Reads from an ID token's claims who a person is and what that person may do, as the settings say."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.gateway.edge.principal import NotAuthenticated, Scope
from services.gateway.edge.tokens import NOT_CLAIMED, rights_of
from services.gateway.filters import InvalidFilter
from services.gateway.sign_in.id_token import UnacceptableToken
from services.gateway.sign_in.roles import EVERYBODY, Roles
from services.gateway.sign_in.session import Identity

_NAMES = ("name", "preferred_username", "email")


class ClaimRules(NamedTuple):
    """Which claims say what; ``roles`` maps a value of the scope claim, or `*` for everybody, to scopes."""

    scope_claim: str
    roles: Roles
    rights_claim: str
    all_rows_by_default: bool


def identity_of(claims: Mapping[str, Any], rules: ClaimRules) -> Identity:
    """Return who it is; raise UnacceptableToken."""
    session = claims.get("sid", "")
    if not isinstance(session, str) or len(session) > 255:
        raise UnacceptableToken("its sid is unusable")
    try:
        return Identity(
            subject=claims["sub"],
            name=_name(claims),
            scopes=_scopes(_claimed(claims, rules.scope_claim), rules.roles),
            rights=rights_of(_claimed(claims, rules.rights_claim), rules.all_rows_by_default),
            provider_session=session,
        )
    except (NotAuthenticated, InvalidFilter) as error:
        raise UnacceptableToken(f"its claim {rules.rights_claim} is not a filter of orders") from error


def _claimed(claims: Mapping[str, Any], name: str) -> object:
    """Return the claim of this name, or else the one that its dots lead to (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return NOT_CLAIMED
        found = found[part]
    return found


def _scopes(claimed: object, roles: Roles) -> frozenset[Scope]:
    names = claimed.split() if isinstance(claimed, str) else claimed
    given = {EVERYBODY, *(name for name in names if isinstance(name, str))} if isinstance(names, list) else {EVERYBODY}
    own = frozenset(scope for scope in Scope if scope.value in given)
    return own.union(*(scopes for role, scopes in roles.items() if role in given))


def _name(claims: Mapping[str, Any]) -> str:
    for each in _NAMES:
        name = claims.get(each)
        if isinstance(name, str) and name.strip() and name.isprintable():
            return name.strip()
    return str(claims["sub"])
