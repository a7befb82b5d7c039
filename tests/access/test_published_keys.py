"""Keys that an issuer publishes: rotated, cached, asked for seldom, and kept while the issuer is down."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.gateway.edge.tokens import Algorithm, UnusableKey, keys_of_jwks, keys_of_pem
from tests.access.conftest import Guarded
from tests.access.test_doors import pem, raw
from tests.access.tokens import bearer, claims
from tests.service_process import ServiceProcess
from tests.waiting import until

ALGORITHM = jwt.algorithms.ECAlgorithm


@dataclass
class Issuer:
    """An issuer with its JWKS."""

    keys: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    status: int = 200
    url: str = ""

    def rotate(self, kid: str) -> None:
        self.keys = {kid: ec.generate_private_key(ec.SECP256R1())}

    def sign(self, kid: str, key: Any = None, **header: Any) -> str:
        return jwt.encode(claims(rights="*"), key or self.keys[kid], "ES256", headers={"kid": kid, **header})

    def jwks(self) -> bytes:
        return json.dumps({"keys": [public_jwk(key, kid) for kid, key in self.keys.items()]}).encode()

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, body=self.jwks(), content_type="application/json")


def public_jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    jwk = json.loads(ALGORITHM.to_jwk(key.public_key()))
    return {**jwk, "use": "sig", **({} if kid is None else {"kid": kid}), **more}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/keys", issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    yield issuer
    await runner.cleanup()


async def status(gateway: ServiceProcess, text: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/api/orders", headers=bearer(text)) as response,
    ):
        return response.status


async def gateway_of(guarded: Guarded, issuer: Issuer) -> ServiceProcess:
    await guarded.watcher()
    return await guarded.gateway(JWT_SECRET="", JWT_JWKS=issuer.url)


async def test_keys_are_rotated_cached_and_kept(guarded: Guarded, issuer: Issuer) -> None:
    issuer.rotate("one")
    gateway = await gateway_of(guarded, issuer)
    first = issuer.sign("one")
    await until(lambda: issuer.asked, "the keys are read")
    assert [await status(gateway, first) for _ in range(20)] == [200] * 20
    assert issuer.asked == 1
    # Whatever ids strangers make up, the issuer is asked at most once in a while.
    forged = [issuer.sign(f"invented {n}", issuer.keys["one"]) for n in range(30)]
    assert {await status(gateway, text) for text in forged} == {401}
    assert issuer.asked <= 2
    asked = issuer.asked

    async def rotated() -> bool:
        return await status(gateway, issuer.sign("two")) == 200

    issuer.rotate("two")
    await until(rotated, "the new key is known")
    assert issuer.asked <= asked + 2
    assert await status(gateway, first) == 401, "the old one was withdrawn"
    issuer.status = 500
    for n in range(20):
        assert await status(gateway, issuer.sign("two")) == 200
        assert await status(gateway, issuer.sign(f"three {n}", issuer.keys["two"])) == 401
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/readyz") as response:
        assert response.status == 200


async def test_no_key_in_a_token_is_ever_used(guarded: Guarded, issuer: Issuer) -> None:
    issuer.rotate("one")
    gateway = await gateway_of(guarded, issuer)
    mine = ec.generate_private_key(ec.SECP256R1())
    asked = issuer.asked
    for header in (
        {"jwk": public_jwk(mine, "one")},
        {"jku": issuer.url},
        {"x5u": issuer.url},
        {"x5c": ["MIIB"]},
    ):
        assert await status(gateway, issuer.sign("one", mine, **header)) == 401
    for kid in ("../../../dev/null", "' OR 1=1 --", "one\0", "ONE", "", "x" * 3000, issuer.url):
        assert await status(gateway, issuer.sign(kid, mine)) == 401
    public = pem(issuer.keys["one"])
    for secret in (public, public.strip(), issuer.jwks().decode(), ""):
        for header in ({"alg": "HS256", "kid": "one"}, {"alg": "HS256"}, {"alg": "ES256", "kid": "one"}):
            assert await status(gateway, raw(header, claims(rights="*"), secret=secret)) == 401
    assert issuer.asked <= asked + 2
    # The id may be missing where the issuer has one key only.
    assert await status(gateway, jwt.encode(claims(rights="*"), issuer.keys["one"], "ES256")) == 200


async def test_while_no_key_is_known_nobody_is_let_in_and_told_to_come_back(guarded: Guarded, issuer: Issuer) -> None:
    issuer.rotate("one")
    issuer.status = 503
    gateway = await gateway_of(guarded, issuer)
    assert await status(gateway, issuer.sign("one")) == 503
    issuer.status = 200

    async def known() -> bool:
        return await status(gateway, issuer.sign("one")) == 200

    await until(known, "the issuer is back")


def test_keys_that_are_of_no_use_are_skipped_and_none_at_all_is_an_error() -> None:
    good = ec.generate_private_key(ec.SECP256R1())
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rsa_jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key()))
    useless: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U", "kid": "s", "alg": "HS256"},
        json.loads(ALGORITHM.to_jwk(good)),  # a private key
        json.loads(ALGORITHM.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key())),
        public_jwk(good, "e", use="enc"),
        public_jwk(good, "e", alg="ES384"),
        public_jwk(good, kid=None) | {"kid": 5},
        public_jwk(good, "x" * 201),
        {**rsa_jwk, "alg": "PS256"},
        {"kty": "EC"},
        {"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"},
        "hostile",
        None,
    ]
    found = keys_of_jwks(json.dumps({"keys": [*useless, public_jwk(good, "good"), rsa_jwk]}).encode())
    assert [(key.kid, key.algorithm) for key in found] == [("good", Algorithm.ES256), (None, Algorithm.RS256)]
    documents = [json.dumps({"keys": useless}).encode(), b"", b"[]", b"{}", b'{"keys": 5}', b"[" * 100_000]
    for document in documents:
        with pytest.raises(UnusableKey):
            keys_of_jwks(document)


def test_keys_in_pem_are_public_strong_and_of_a_known_kind() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    other = ec.generate_private_key(ec.SECP384R1())
    for text in ("", "hostile", pem(small), pem(other), pem(small)[:100] + pem(small)[110:]):
        with pytest.raises(UnusableKey):
            keys_of_pem(text)
