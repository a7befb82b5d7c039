"""The tokens of clients, each for the orders of one customer."""

import time

import jwt

SECRET = "a secret of the benchmarks of more than 32 characters"
SETTINGS = {"AUTH": "jwt", "JWT_SECRET": SECRET}


def token(subject: str, customer: str) -> str:
    claims = {
        "sub": subject,
        "scope": "orders:read",
        "exp": int(time.time()) + 3600,
        "rights": {"customer_name": [customer]},
    }
    return jwt.encode(claims, SECRET, "HS256")
