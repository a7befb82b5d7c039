"""What sign-in keeps in browsers, and reads from claims, as values."""

import time
from typing import Any

import msgspec
import pytest

from services.gateway.edge.principal import Denial, NotAuthenticated, Scope
from services.gateway.filters import EVERYTHING, NOTHING
from services.gateway.sign_in.claims import ClaimRules, identity_of
from services.gateway.sign_in.provider import parse_description
from services.gateway.sign_in.roles import parse_roles
from services.gateway.sign_in.seal import NoSecret, Seal
from services.gateway.sign_in.session import Identity, Lifespans, PageSessions

ONE, OTHER = "one secret of at least 32 characters", "another secret of at least 32 characters"
ADA = Identity("ada", "Ada", frozenset({Scope.READ}), EVERYTHING, "")


def test_what_is_sealed_opens_with_a_known_secret_for_its_purpose_and_in_time() -> None:
    sealed = Seal("session", [ONE]).close(b"data")
    assert Seal("session", [OTHER, ONE]).open(sealed, 60) == b"data", "the secret was rotated"
    assert Seal("session", [OTHER]).open(sealed, 60) is None
    assert Seal("sign-in", [ONE]).open(sealed, 60) is None
    assert Seal("session", [ONE]).open(sealed, -1) is None
    assert not set(sealed) & set('=;," ')


def test_without_a_secret_nothing_is_sealed_and_nobody_is_turned_away_for_good() -> None:
    sessions = PageSessions(Seal("session"), Lifespans(600, 3600))
    with pytest.raises(NoSecret):
        sessions.write(sessions.begin(ADA, ""))
    with pytest.raises(NotAuthenticated) as refused:
        sessions.read("x")
    assert refused.value.denial is Denial.UNAVAILABLE


def test_a_session_ends_with_its_sign_in_however_often_it_is_renewed() -> None:
    sessions = PageSessions(Seal("session", [ONE]), Lifespans(600, 3600))
    session = sessions.begin(ADA, "r")
    late = msgspec.structs.replace(session, signed_in_at=int(time.time()) - 3500)
    renewed = sessions.renewed(late, ADA, "s")
    assert (renewed.id, renewed.signed_in_at) == (late.id, late.signed_in_at)
    assert renewed.expires_at <= late.signed_in_at + 3600
    over = msgspec.structs.replace(renewed, signed_in_at=late.signed_in_at - 200)
    with pytest.raises(NotAuthenticated) as refused:
        sessions.read(sessions.write(over))
    assert refused.value.denial is Denial.TOKEN_EXPIRED
    assert len({sessions.begin(ADA, "").id for _ in range(10)}) == 10


CLAIMS = [
    ({"scope": "openid orders:read"}, "scope", "", {Scope.READ}),
    ({"scope": ["orders:read", "orders:write", 5]}, "scope", "", {Scope.READ, Scope.WRITE}),
    ({}, "scope", "", set()),
    ({}, "scope", "*=orders:read", {Scope.READ}),
    ({"roles": "clerk"}, "roles", "clerk=orders:read orders:write", {Scope.READ, Scope.WRITE}),
    ({"realm_access": {"roles": ["clerk"]}}, "realm_access.roles", "clerk=orders:read", {Scope.READ}),
    ({"https://x.example/roles": ["clerk"]}, "https://x.example/roles", "clerk=orders:admin", {Scope.ADMIN}),
    ({"realm_access": "clerk"}, "realm_access.roles", "clerk=orders:read", set()),
    ({"scope": {"*": True}}, "scope", "", set()),
]


@pytest.mark.parametrize(("claims", "claim", "roles", "scopes"), CLAIMS)
def test_scopes_are_read_as_set(claims: dict[str, Any], claim: str, roles: str, scopes: set[Scope]) -> None:
    rules = ClaimRules(claim, parse_roles(roles), "rights", all_rows_by_default=False)
    found = identity_of({"sub": "ada", **claims}, rules)
    assert (found.scopes, found.rights, found.name) == (frozenset(scopes), NOTHING, "ada")


@pytest.mark.parametrize("wrong", ["clerk", "clerk=", "=orders:read", "clerk=orders:all", "clerk=orders:read,admin"])
def test_roles_that_cannot_be_read_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be ROLE=SCOPES"):
        parse_roles(wrong)


def test_a_description_must_be_the_issuers_own_and_as_protected() -> None:
    issuer = "https://issuer.example"
    good = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/a",
        "token_endpoint": f"{issuer}/t",
        "jwks_uri": f"{issuer}/k",
    }
    assert parse_description(msgspec.json.encode(good), issuer).token_endpoint == f"{issuer}/t"
    for bad in ({"issuer": f"{issuer}/"}, {"token_endpoint": "http://issuer.example/t"}, {"jwks_uri": None}):
        with pytest.raises(ValueError, match=r"^it"):
            parse_description(msgspec.json.encode({**good, **bad}), issuer)
