"""What must be remembered between the way to the provider and the way back (RFC 6749, RFC 7636)."""

import base64
import hashlib
import re
import secrets
from urllib.parse import urlencode

import msgspec

from services.gateway.sign_in.seal import Seal

SECONDS = 600  # to type a password, and to find the second factor
_LONGEST_STATE = 2048
_LOCAL = re.compile(
    r"/(?![/\\])[!-\[\]-~]{0,500}", re.ASCII
)  # printable, without a backslash, which browsers take for /


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One attempt to sign in. It travels sealed in `state`, and counts only in the browser that it began in."""

    browser: str  # the value of this browser's cookie
    nonce: str
    verifier: str  # PKCE
    to: str  # the path to return to


_DECODER = msgspec.msgpack.Decoder(Attempt)


def local_path(asked: str) -> str | None:
    """Return the path if it leads to a page of this server, and not back into sign-in."""
    return asked if _LOCAL.fullmatch(asked) and not asked.startswith("/auth/") else None


def random_text() -> str:
    """Return 256 random bits, in the characters that PKCE allows."""
    return secrets.token_urlsafe(32)


def begin_attempt(browser: str, to: str) -> Attempt:
    """Return a new attempt."""
    return Attempt(browser=browser, nonce=random_text(), verifier=random_text(), to=to)


def write_state(attempt: Attempt, seal: Seal) -> str:
    """Return the parameter `state`; raise NoSecret."""
    return seal.close(msgspec.msgpack.encode(attempt))


def read_state(state: str, browser: str | None, seal: Seal) -> Attempt | None:
    """Return the attempt if it is one of this browser and not too old; raise NoSecret."""
    data = seal.open(state, SECONDS) if len(state) <= _LONGEST_STATE else None
    if data is None:
        return None
    try:
        attempt = _DECODER.decode(data)
    except msgspec.DecodeError:  # of another version of ours
        return None
    return attempt if browser and secrets.compare_digest(attempt.browser.encode(), browser.encode()) else None


def authorization_address(
    endpoint: str, client_id: str, scopes: str, redirect_uri: str, attempt: Attempt, state: str
) -> str:
    """Return where the browser is sent to sign in."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode().rstrip("=")
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scopes,
        "state": state,
        "nonce": attempt.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return with_parameters(endpoint, parameters)


def with_parameters(address: str, parameters: dict[str, str]) -> str:
    """Return the address with these parameters besides its own."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"
