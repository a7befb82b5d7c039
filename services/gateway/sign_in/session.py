"""The session of a person who has signed in: all of it is in the cookie, so that any replica takes it."""

import secrets
from time import time
from typing import NamedTuple

import msgspec

from services.gateway.edge.cookies import LONGEST_COOKIE, SESSION_COOKIE
from services.gateway.edge.principal import Denial, NotAuthenticated, Principal, Scope
from services.gateway.filters import Interest, InvalidFilter, from_text, to_text
from services.gateway.sign_in.seal import NoSecret, Seal

_LONGEST_VALUE = LONGEST_COOKIE - len(SESSION_COOKIE) - 1
_LONGEST_NAME = 100


class Identity(NamedTuple):
    """What the provider says of a person."""

    subject: str
    name: str
    scopes: frozenset[Scope]
    rights: Interest
    provider_session: str  # the provider's `sid`, empty where it gives none


class PageSession(msgspec.Struct, frozen=True, array_like=True):
    """Times are in seconds since 1970; ``refresh_token`` is empty where it cannot be renewed."""

    id: str  # new with each sign-in; revocations name it
    subject: str
    name: str
    scopes: list[Scope]
    rights: str
    provider_session: str
    signed_in_at: int
    renewed_at: int
    expires_at: int
    refresh_token: str


class TooLarge(Exception):
    """The rights and names of this person do not fit into a cookie."""


class Lifespans(NamedTuple):
    """In seconds: how long a session is good until it is renewed, and how long it can be renewed."""

    session: int
    sign_in: int


_DECODER = msgspec.msgpack.Decoder(PageSession)


class PageSessions:
    """Makes sessions, and reads them from their cookies."""

    def __init__(self, seal: Seal, lifespans: Lifespans) -> None:
        self._seal = seal
        self.lifespans = lifespans

    def begin(self, identity: Identity, refresh_token: str) -> PageSession:
        """Return a new session; its id is one that nobody has known before."""
        return self._session(secrets.token_urlsafe(16), int(time()), identity, refresh_token)

    def renewed(self, session: PageSession, identity: Identity, refresh_token: str) -> PageSession:
        """Return the session with what the provider says now."""
        return self._session(session.id, session.signed_in_at, identity, refresh_token)

    def _session(self, id: str, signed_in_at: int, identity: Identity, refresh_token: str) -> PageSession:
        now = int(time())
        return PageSession(
            id=id,
            subject=identity.subject,
            name=identity.name[:_LONGEST_NAME],
            scopes=sorted(identity.scopes),
            rights=to_text(identity.rights),
            provider_session=identity.provider_session,
            signed_in_at=signed_in_at,
            renewed_at=now,
            expires_at=min(now + self.lifespans.session, self.ends_at(signed_in_at)),
            refresh_token=refresh_token,
        )

    def ends_at(self, signed_in_at: int) -> int:
        """Return until when a session of that sign-in can be renewed at most."""
        return signed_in_at + self.lifespans.sign_in

    def write(self, session: PageSession) -> str:
        """Return the cookie's value; a refresh token for which it has no room is left out.

        Raise TooLarge or NoSecret.
        """
        value = self._seal.close(msgspec.msgpack.encode(session))
        if len(value) > _LONGEST_VALUE and session.refresh_token:
            return self.write(msgspec.structs.replace(session, refresh_token=""))
        if len(value) > _LONGEST_VALUE:
            raise TooLarge
        return value

    def read(self, value: str) -> PageSession:
        """Return the session of a cookie, an expired one too as long as it can be renewed; raise NotAuthenticated."""
        try:
            data = self._seal.open(value, self.lifespans.sign_in)
        except NoSecret as error:
            raise NotAuthenticated(Denial.UNAVAILABLE) from error
        if data is None:
            raise NotAuthenticated(Denial.TOKEN_INVALID)
        try:
            session = _DECODER.decode(data)
        except msgspec.DecodeError as error:  # of another version of ours
            raise NotAuthenticated(Denial.TOKEN_INVALID) from error
        if self.ends_at(session.signed_in_at) <= time():
            raise NotAuthenticated(Denial.TOKEN_EXPIRED)
        return session

    def principal(self, value: str) -> Principal:
        """Return who the session of a cookie is for, be it expired or not; raise NotAuthenticated."""
        session = self.read(value)
        try:
            rights = from_text(session.rights)
        except InvalidFilter as error:
            raise NotAuthenticated(Denial.TOKEN_INVALID) from error
        return Principal(
            session.subject,
            frozenset(session.scopes),
            rights,
            float(session.expires_at),
            session.id,
            # A renewal makes nothing good that was revoked after the sign-in.
            float(session.signed_in_at),
            session_at_provider(session.provider_session) if session.provider_session else None,
        )


def session_at_provider(id: str) -> str:
    """Return the name by which the sessions are revoked that belong to one of the provider's.

    Subjects are printable, so it is the name of none.
    """
    return f"session at the provider\n{id}"
