"""Who a client is and what it may do, as its token says."""

import re
from enum import StrEnum
from typing import NamedTuple

from aiohttp import hdrs

from services.gateway.audience import Rights
from services.gateway.edge.request import Request
from services.gateway.filters import EVERYTHING

LONGEST_TOKEN = 8192  # characters; longer ones are refused unread
_BEARER = re.compile(r"bearer +([0-9A-Za-z._~+/=-]+)", re.ASCII | re.IGNORECASE)


class Scope(StrEnum):
    """What a token allows its bearer to do; each scope stands for itself and includes no other."""

    READ = "orders:read"
    WRITE = "orders:write"
    ADMIN = "orders:admin"


class Principal(NamedTuple):
    """A subject and what it may do, until ``expires_at``: seconds since 1970, or None for ever."""

    subject: str
    scopes: frozenset[Scope]
    rights: Rights
    expires_at: float | None


ANYONE = Principal("", frozenset(Scope), EVERYTHING, None)
"""Every client, where no tokens are asked for."""


class Denial(StrEnum):
    """Why a client is not let in, or no longer; sent to clients."""

    TOKEN_MISSING = "token_missing"  # neither a token nor a ticket was sent
    TOKEN_INVALID = "token_invalid"  # forged, malformed, for another audience, of another issuer, without a subject, …
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TICKET_INVALID = "ticket_invalid"  # unknown, used already, or too old
    SCOPE_MISSING = "scope_missing"  # the token does not allow it
    OTHER_SUBJECT = "other_subject"  # a connection is renewed for its own subject only
    UNAVAILABLE = "unavailable"  # it cannot be checked now: try again


class NotAuthenticated(Exception):
    """It is not known who the client is; ``denial`` says why. The message contains nothing that the client sent."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.value)
        self.denial = denial


class Credentials(NamedTuple):
    """What a client has sent to say who it is: a token, or else a ticket."""

    token: str | None = None
    ticket: str | None = None

    @classmethod
    def of(cls, request: Request) -> "Credentials":
        """Read the header `Authorization` and the parameter `ticket`; an unreadable header is an invalid token."""
        headers = request.headers.getall(hdrs.AUTHORIZATION, [])
        if not headers:
            ticket = request.query.get("ticket")
            return NO_CREDENTIALS if ticket is None else cls(ticket=ticket)
        bearer = _BEARER.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) <= LONGEST_TOKEN + 10 else None
        return cls(token=bearer[1] if bearer else "")


NO_CREDENTIALS = Credentials()
