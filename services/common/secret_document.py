"""Describes the document in MongoDB that holds the gateways' secret: the set-up creates it, every gateway reads it."""

import secrets
from collections.abc import Mapping
from typing import Any

COLLECTION = "gateway_secrets"
RECOVERY = "recovery"

_KEPT = 2  # the newest, and the previous one, which signed ids that clients still hold


def new_secret() -> str:
    """Return a random secret of 256 bits, which cannot be guessed."""
    return secrets.token_hex(32)


def secrets_of(document: Mapping[str, Any]) -> list[str]:
    """Return the secrets of the document, the newest first."""
    return [secret for secret in document.get("secrets", []) if isinstance(secret, str) and secret]


def rotated(known: list[str]) -> list[str]:
    """Return the list with a new secret in front."""
    return [new_secret(), *known][:_KEPT]
