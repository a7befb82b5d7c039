"""The registry of open sessions, with their limits and timers."""

import asyncio
from collections.abc import Iterator
from functools import partial

from services.common.deadlines import Deadlines
from services.common.random_text import random_text
from services.gateway.edge.fair_share import FairShare
from services.gateway.edge.incidents import Count, IncidentKind
from services.gateway.edge.principal import NO_CREDENTIALS, Credentials
from services.gateway.edge.quota import Standing, Use
from services.gateway.edge.registry import NotAdmitted, Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.rejection import ErrorCode, Rejected
from services.gateway.engineio.session import Session
from services.gateway.engineio.settings import EngineSettings
from services.gateway.engineio.upgrade import Upgrade
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.wire.websocket import CloseCode


class Sessions:
    """The registry of one server."""

    def __init__(
        self,
        settings: EngineSettings,
        count: Count,
        registry: Registry,
        unsent: Unsent,
        share: FairShare | None = None,
    ) -> None:
        self.settings = settings
        self._share = FairShare() if share is None else share
        self.count = count
        self.unsent = unsent
        self.ping_due: Deadlines[Session] = Deadlines(settings.ping_interval, Session.ping)
        self.pong_due: Deadlines[Session] = Deadlines(settings.ping_timeout, _pong_missed)
        self.upgrade_due: Deadlines[Upgrade] = Deadlines(settings.upgrade_timeout, Upgrade.fail)
        self.lingering: Deadlines[Session] = Deadlines(settings.close_timeout, self._stop_lingering)
        self.closing: Deadlines[WebSocketConnection] = Deadlines(settings.close_timeout, WebSocketConnection.abort)
        self._by_sid: dict[str, Session] = {}
        self.registry = registry

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_sid.values()))

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def find(self, sid: str) -> Session | None:
        """Return a session that is open or lingers; one that has expired is closed first, even if its timer is late."""
        self.ping_due.run()
        self.pong_due.run()
        return self._by_sid.get(sid)

    def holds(self, session: Session) -> bool:
        """Tell whether a session is still registered: it is open, or lingers until its last packets are fetched."""
        return self._by_sid.get(session.sid) is session

    def admit(self, address: str, credentials: Credentials = NO_CREDENTIALS) -> Session:
        """Return a new session, or raise `Rejected` if it is not admitted."""
        try:
            self.registry.enter(address)
        except NotAdmitted as refused:
            status = 429 if refused.incident is IncidentKind.TOO_MANY_FROM_ADDRESS else 503
            message = "Server is stopping" if refused.incident is IncidentKind.STOPPING else "Too many connections"
            raise Rejected(ErrorCode.FORBIDDEN, message, status=status, incident=refused.incident) from refused
        standing = self._share.charge(Use.HANDSHAKES, address)
        if standing is not None and not standing.is_allowed:
            self.registry.leave(address)
            raise Rejected(
                ErrorCode.FORBIDDEN,
                "Too many handshakes",
                status=429,
                incident=Use.HANDSHAKES.incident,
                headers=standing.fields(),
            )
        session = Session(self, self._new_sid(), address, credentials)
        self._by_sid[session.sid] = session
        self.registry.add(session.shut_down)
        return session

    def charge_again(self, session: Session) -> Standing | None:
        """Charge a session's address for one more CONNECT, as for a handshake; return how it stands.

        The handshake has paid for the first one only, or a single handshake would allow to guess many tokens.
        """
        session.address_paid = True
        return self._share.charge(Use.HANDSHAKES, session.address)

    def identified(self, session: Session, subject: str) -> Standing | None:
        """Let a session's subject pay for the handshake in place of its address; return how the subject stands.

        From then on the session counts among those of the subject; raise NotAdmitted where it has too many.
        """
        standing = self._share.charge(Use.HANDSHAKES, session.address, subject)
        if (standing is not None and not standing.is_allowed) or not self.holds(session):
            return standing
        if session.subject != subject:
            self.registry.claim(subject)
            self.registry.release(session.subject)
            session.subject = subject
        if session.address_paid:
            session.address_paid = False
            self._share.give_back(Use.HANDSHAKES, session.address)
        return standing

    def _new_sid(self) -> str:
        sid, name = random_text(15), self.settings.server_name
        return f"{sid}.{name}" if name else sid

    def cancel(self, session: Session) -> None:
        """Undo `admit`: the session could not start."""
        if self._remove(session):
            self.registry.leave(session.address, session.subject)

    def closed(self, session: Session, *, linger: bool) -> None:
        """Forget a session, or let it linger a little while its last packets are to be fetched.

        Its place is free once its client holds no connection of it any more. If it were free at once, an address could
        hold any number of websockets that do not answer our close, for as long as we wait for that.
        """
        if linger:
            self.lingering.add(session)
        else:
            self._forget(session)

    def _stop_lingering(self, session: Session) -> None:
        self._forget(session)
        session.carrier.forget()

    def _forget(self, session: Session) -> None:
        if self._remove(session):
            session.carrier.when_gone(partial(self.registry.leave, session.address, session.subject))

    def _remove(self, session: Session) -> bool:
        if self._by_sid.pop(session.sid, None) is None:
            return False
        self.registry.remove(session.shut_down)
        self.unsent.release(session)
        return True

    async def drain(self, patience: float) -> None:
        """Wait up to ``patience`` seconds until the clients have closed too; cut off the others."""
        until = self.now() + min(patience, self.settings.close_timeout)
        while (self._by_sid or self.closing.pending) and self.now() < until:  # noqa: ASYNC110  # many ways out, one short wait
            await asyncio.sleep(0.01)
        for websocket in self.closing.pending:
            websocket.abort()
        for session in self:
            self._forget(session)

    def close(self) -> None:
        """Stop all timers."""
        for deadlines in (self.ping_due, self.pong_due, self.upgrade_due, self.lingering, self.closing):
            deadlines.close()


def _pong_missed(session: Session) -> None:
    session.fail(IncidentKind.PING_TIMEOUT, CloseCode.GOING_AWAY)
