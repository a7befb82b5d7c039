"""Moves a session from polling to a websocket without losing or reordering a packet."""

from services.common.deadlines import Deadlines
from services.gateway.edge.incidents import IncidentKind
from services.gateway.engineio.polling import Polling
from services.gateway.engineio.session import Session
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.wire.engineio import EnginePacketType
from services.gateway.wire.websocket import CloseCode

_PROBE = EnginePacketType.PING + "probe"
_PROBE_ANSWER = (EnginePacketType.PONG + "probe").encode()


class Upgrade:
    """A websocket that is not yet the session's carrier: it is probed, then takes over on the client's upgrade packet.

    Between the two, polling carries on, but no poll is held, and so the application is soon paused.
    """

    __slots__ = ("_entry", "_polling", "_probed", "_session", "_websocket")

    def __init__(
        self, session: Session, polling: Polling, websocket: WebSocketConnection, due: "Deadlines[Upgrade]"
    ) -> None:
        self._session = session
        self._polling = polling
        self._websocket = websocket
        self._probed = False
        self._entry = due.add(self)

    @classmethod
    def begin(cls, session: Session, websocket: WebSocketConnection, due: "Deadlines[Upgrade]") -> bool:
        """Start an upgrade to `websocket`; False where the session already has, or is trying, another one."""
        polling = session.carrier
        if not session.is_open or session.upgrade is not None or not isinstance(polling, Polling):
            return False
        upgrade = session.upgrade = cls(session, polling, websocket, due)
        websocket.set_owner(upgrade)
        return True

    def websocket_received(self, message: str | bytes) -> None:
        """Handle a packet of the upgrade; any other packet ends it, as in the reference.

        The reference also accepts an upgrade without a probe. Here that ends the attempt: only the probe releases a
        held poll.
        """
        if message == _PROBE:
            self._probed = True
            self._polling.release_polls()
            self._websocket.send_text(_PROBE_ANSWER)
        elif message == EnginePacketType.UPGRADE and self._probed:
            self._complete()
        else:
            self.fail()

    def _complete(self) -> None:
        self._entry.cancel()
        self._session.upgrade = None
        self._websocket.set_owner(self._session)
        self._session.change_carrier(self._websocket, self._polling.retire)

    def fail(self) -> None:
        """Give up; the session stays on polling."""
        if self._session.upgrade is self:
            self._session.upgrade = None
            self._session.sessions.count(IncidentKind.UPGRADE_FAILED)
            self._entry.cancel()
            self._polling.hold_polls()
            self._websocket.dismiss()

    def admit_websocket_frame(self) -> bool:
        """Count the frame."""
        return self._session.count_packet()

    def websocket_lost(self, violation: CloseCode | None) -> None:  # noqa: ARG002
        """Give up."""
        self.fail()

    def cut(self) -> None:
        """Give up."""
        self.fail()

    def pause_writing(self) -> None:
        """Ignore it: nothing is written yet."""

    def resume_writing(self) -> None:
        """Ignore it: nothing is written yet."""
