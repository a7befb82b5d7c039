"""The interfaces that a session needs from the registry that holds it, and from its upgrade."""

from typing import TYPE_CHECKING, Protocol

from services.common.deadlines import Deadlines
from services.gateway.edge.incidents import Count
from services.gateway.edge.quota import Standing
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.settings import EngineSettings

if TYPE_CHECKING:
    from services.gateway.engineio.session import Session


class SessionOwner(Protocol):
    """The interface that a session, and who serves one, need from the registry that holds it."""

    settings: EngineSettings
    count: Count
    unsent: Unsent
    ping_due: "Deadlines[Session]"
    pong_due: "Deadlines[Session]"

    def now(self) -> float:
        """Return the loop's time."""

    def holds(self, session: "Session") -> bool:
        """Tell whether a session is still registered."""

    def charge_again(self, session: "Session") -> Standing | None:
        """Charge a session's address for one more CONNECT; return how it stands."""

    def identified(self, session: "Session", subject: str) -> Standing | None:
        """Let a session's subject pay for the handshake; return how it stands."""

    def closed(self, session: "Session", *, linger: bool) -> None:
        """Forget a session, or let it linger a little while its last packets are to be fetched.

        Its place is free once its client holds no connection of it any more.
        """


class UpgradeAttempt(Protocol):
    """The interface that a session needs from an upgrade that has begun."""

    def fail(self) -> None:
        """Give up; the session stays on its carrier."""
