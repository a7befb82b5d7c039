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
    """Return the secrets of the document: the first signs ids, the others only verify them."""
    return [secret for secret in document.get("secrets", []) if isinstance(secret, str) and secret]


def announced(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document's fields with a new secret that verifies ids and does not sign them yet.

    A gateway that signs with a secret that another one has not read yet would cost that one's clients their session.
    """
    known = secrets_of(document)
    if document.get("announced") or not known:
        return {"secrets": known or [new_secret()], "announced": document.get("announced", False)}
    return {"secrets": [known[0], new_secret()], "announced": True}


def rotated(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document's fields with the announced secret in front, or with a new one where none is announced."""
    known = secrets_of(document)
    if document.get("announced"):
        return {"secrets": known[::-1], "announced": False}
    return {"secrets": [new_secret(), *known][:_KEPT], "announced": False}
