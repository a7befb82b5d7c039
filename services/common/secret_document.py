"""Describes the document in MongoDB that holds the gateways' secret: the set-up makes it, every gateway reads it."""

import secrets
from collections.abc import Mapping
from typing import Any

COLLECTION = "gateway_secrets"
RECOVERY = "recovery"

_KEPT = 2  # the newest, and the one before, by which ids are signed that clients still hold


def new_secret() -> str:
    """Return a random secret: 256 bits, so that no number of guesses finds it."""
    return secrets.token_hex(32)


def secrets_of(document: Mapping[str, Any]) -> list[str]:
    """Return what the document holds, the newest first."""
    return [secret for secret in document.get("secrets", []) if isinstance(secret, str) and secret]


def rotated(known: list[str]) -> list[str]:
    """Return the list with a new secret in front."""
    return [new_secret(), *known][:_KEPT]
