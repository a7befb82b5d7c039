"""Prints a token for the gateway of `make run` with AUTH=jwt: `make token SUB=ada SCOPE="orders:read orders:write"`.

CUSTOMER="Ada Lovelace" restricts it to the orders of this customer, RIGHTS='{"status": "pending"}' to any filter;
without them it is good for all orders. SECONDS=3600 is how long. Its key is made by the first `make run` of the folder,
and no other gateway accepts it.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.auth import DEVELOPMENT_ISSUER, DEVELOPMENT_KEY, RIGHTS_CLAIM
from services.common.error_text import error_text

_ALL = "*"


class _Folder(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    data_dir: Path = Path(".data")


def main() -> int:
    """Print the token alone, so that `$(make -s token …)` is one; return the exit code."""
    path = _Folder().data_dir / DEVELOPMENT_KEY
    try:
        key = path.read_text("ascii").strip()
        print(jwt.encode(claims(os.environ, time.time()), key, "HS256"))
    except FileNotFoundError:
        print(f"There is no {path}: start `AUTH=jwt make run` once, which makes it.", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"No token: {error_text(error)}", file=sys.stderr)
        return 1
    return 0


def claims(asked: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return the claims that the variables ask for; raise ValueError."""
    subject = asked.get("SUB", "")
    if not subject:
        raise ValueError("SUB, the subject, is missing: SUB=ada")
    return {
        "iss": DEVELOPMENT_ISSUER,
        "sub": subject,
        "scope": asked.get("SCOPE") or "orders:read orders:write",
        "iat": int(now),
        "exp": int(now) + int(asked.get("SECONDS") or 3600),
        RIGHTS_CLAIM: _rights(asked),
    }


def _rights(asked: Mapping[str, str]) -> Any:
    customer, rights = asked.get("CUSTOMER"), asked.get("RIGHTS")
    if customer and rights:
        raise ValueError("CUSTOMER and RIGHTS are two ways to say the same: give one of them")
    if customer:
        return {"customer_name": [customer]}
    try:
        return json.loads(rights) if rights else _ALL
    except ValueError:
        raise ValueError("""RIGHTS must be JSON: RIGHTS='{"status": ["pending", "shipped"]}'""") from None


if __name__ == "__main__":
    sys.exit(main())
