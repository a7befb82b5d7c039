"""An OpenID provider that says what a test wants, also what no provider would say."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from services.embedded.ports import free_port

CLIENT = "orders-page"
CLIENT_SECRET = "what only the gateway and its provider know"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
ADA = {"sub": "ada", "name": "Ada Lovelace", "scope": "orders:read orders:write", "sid": "at-the-provider"}


@dataclass
class StandIn:
    """The provider; a test changes what it says next."""

    issuer: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    claims: dict[str, Any] = field(default_factory=lambda: dict(ADA))
    changed: Callable[[dict[str, Any]], dict[str, Any]] = dict
    signing_key: ec.EllipticCurvePrivateKey | None = None
    status: int = 200
    refresh: bool = True
    asked_in_vain: int = 0  # for codes that it has not given
    answers: asyncio.Event | None = None  # to those, once it is set
    description: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)  # all that must be in no log

    @property
    def settings(self) -> dict[str, str]:
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_RIGHTS_CLAIM": "orders",
            "OIDC_ROLES": "auditor=orders:read",
        }

    def authorize(self, address: str) -> dict[str, str]:
        """Return the parameters of the way back, for a person who has just typed his password."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = token_urlsafe(16)
        self.codes[code] = asked
        self.told += [code, asked["state"], asked["nonce"]]
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def sign(self, claims: dict[str, Any], typ: str = "JWT") -> str:
        now = int(time.time())
        whole = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, **claims}
        key = self.signing_key or self.key
        text = jwt.encode(
            {name: value for name, value in whole.items() if value is not None},
            key,
            "ES256",
            headers={"kid": "one", "typ": typ},
        )
        self.told.append(text)
        return text

    def logout_token(self, **claims: Any) -> str:
        return self.sign({"jti": token_urlsafe(8), "events": {LOGOUT: {}}, "sub": "ada", **claims}, "logout+jwt")

    async def describe(self, _: web.Request) -> web.Response:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/sign-out",
            "authorization_response_iss_parameter_supported": True,
        }
        return web.json_response({**known, **self.description}, status=self.status)

    async def keys(self, _: web.Request) -> web.Response:
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return web.json_response({"keys": [{**jwk, "kid": "one", "use": "sig"}]}, status=self.status)

    async def token(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status)
        pair = f"{CLIENT}:{CLIENT_SECRET.replace(' ', '+')}"
        assert request.headers["Authorization"] == f"Basic {base64.b64encode(pair.encode()).decode()}"
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.refresh_tokens:
                return web.json_response({"error": "invalid_grant"}, status=400)
            self.refresh_tokens.discard(form["refresh_token"])
            return self._tokens({})
        asked = self.codes.pop(form["code"], None)
        if asked is None and self.answers is not None:
            self.asked_in_vain += 1
            await self.answers.wait()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if asked is None or challenge.decode() != asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert form["redirect_uri"] == asked["redirect_uri"]
        return self._tokens({"nonce": asked["nonce"]})

    def _tokens(self, more: dict[str, Any]) -> web.Response:
        answer: dict[str, Any] = {"access_token": token_urlsafe(16), "token_type": "Bearer", "expires_in": 300}
        answer["id_token"] = self.sign(self.changed({**self.claims, **more}))
        if self.refresh:
            answer["refresh_token"] = token_urlsafe(32)
            self.refresh_tokens.add(answer["refresh_token"])
            self.told.append(answer["refresh_token"])
        self.told.append(answer["access_token"])
        return web.json_response(answer)


@asynccontextmanager
async def stand_in_provider() -> AsyncIterator[StandIn]:
    port = free_port()
    provider = StandIn(f"http://127.0.0.1:{port}")
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.describe)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield provider
    finally:
        await runner.cleanup()
