"""Who a client is and what it may do, as its token says."""

import re
from enum import StrEnum
from typing import NamedTuple

from aiohttp import hdrs

from services.gateway.audience import Rights
from services.gateway.edge.cookies import SESSION_COOKIE, cookie
from services.gateway.edge.origin import is_own_page
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
    """A subject and what it may do, until ``expires_at``: seconds since 1970, or None for ever.

    ``token_id`` and ``issued_at`` are what its token says of itself, by which it can be revoked. A ``session`` at
    the provider can be revoked as a subject can.
    """

    subject: str
    scopes: frozenset[Scope]
    rights: Rights
    expires_at: float | None
    token_id: str | None = None
    issued_at: float | None = None
    session: str | None = None


ANYONE = Principal("", frozenset(Scope), EVERYTHING, None)
"""Every client, where no tokens are asked for."""


class Denial(StrEnum):
    """Why a client is not let in, or no longer; sent to clients."""

    TOKEN_MISSING = "token_missing"  # neither a token nor a ticket was sent
    TOKEN_INVALID = "token_invalid"  # forged, malformed, for another audience, of another issuer, without a subject, …
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_TOO_LONG = "token_lives_too_long"  # longer than a revocation of it would be remembered
    TOKEN_REVOKED = "token_revoked"
    TICKET_INVALID = "ticket_invalid"  # unknown, used already, or too old
    SCOPE_MISSING = "scope_missing"  # the token does not allow it
    FOREIGN_PAGE = "foreign_page"  # a session is for the gateway's own page only
    SESSION_ENDED = "session_ended"  # the provider does not renew it
    OTHER_SUBJECT = "other_subject"  # a connection is renewed for its own subject only
    UNAVAILABLE = "unavailable"  # it cannot be checked now: try again


class NotAuthenticated(Exception):
    """It is not known who the client is; ``denial`` says why. The message contains nothing that the client sent."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.value)
        self.denial = denial


class Credentials(NamedTuple):
    """What a client has sent to say who it is: a token, or else a ticket, or else the cookie of a session.

    ``own_page``: the request is one of our own page, as far as its method asks for a proof of that.
    """

    token: str | None = None
    ticket: str | None = None
    session: str | None = None
    own_page: bool = False

    @classmethod
    def of(cls, request: Request, scheme: str | None = None) -> "Credentials":
        """Read the header `Authorization`, the parameter `ticket` and the cookie, in this order, and no more than one.

        An unreadable header is an invalid token. ``scheme`` is the request's own, where known.
        """
        headers = request.headers.getall(hdrs.AUTHORIZATION, [])
        if headers:
            readable = len(headers) == 1 and len(headers[0]) <= LONGEST_TOKEN + 10
            bearer = _BEARER.fullmatch(headers[0]) if readable else None
            return cls(token=bearer[1] if bearer else "")
        if "ticket" in request.query:
            return cls(ticket=request.query["ticket"])
        session = cookie(request, SESSION_COOKIE)
        return NO_CREDENTIALS if session is None else cls(session=session, own_page=is_own_page(request, scheme))


NO_CREDENTIALS = Credentials()
