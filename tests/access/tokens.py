"""Tokens as an issuer makes them, good ones and bad ones."""

import time
from typing import Any

import jwt

SECRET = "a secret of the tests of more than 32 characters"
ISSUER = "https://issuer.example"
AUDIENCE = "orders"
BOTH = "orders:read orders:write"
SETTINGS = {"AUTH": "jwt", "JWT_SECRET": SECRET, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE}


def claims(sub: str = "ada", scope: str = BOTH, seconds: float = 3600, **more: Any) -> dict[str, Any]:
    """Return the claims of a token for so many seconds; a claim that is None is left out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "scope": scope, "iat": now, "exp": int(now + seconds)}
    return {name: value for name, value in {**usual, **more}.items() if value is not None}


def token(sub: str = "ada", scope: str = BOTH, seconds: float = 3600, **more: Any) -> str:
    """Return a good token, unless the claims make it a bad one."""
    return jwt.encode(claims(sub, scope, seconds, **more), SECRET, "HS256")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}
