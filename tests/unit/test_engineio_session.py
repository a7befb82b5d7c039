"""Whatever fails at the end of a session, all its parts are told that it is over."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from services.gateway.edge.incidents import DisconnectReason, IncidentKind, count_nothing
from services.gateway.edge.registry import Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.application import Application
from services.gateway.engineio.polling import Polling
from services.gateway.engineio.session import Session
from services.gateway.engineio.sessions import Sessions
from services.gateway.engineio.settings import EngineSettings
from services.gateway.wire.websocket import CloseCode


class BrokenCarrier(Polling):
    """One that cannot even be closed."""

    def close(self, code: CloseCode, reason: str, *, orderly: bool) -> bool:  # noqa: ARG002
        raise RuntimeError("the carrier")

    def abort(self) -> None:
        raise RuntimeError("the carrier")


@dataclass
class Ended(Application):
    """An application that is told of the end, and may fail then."""

    fails: bool
    reasons: list[str] = field(default_factory=list)

    def closed(self, reason: str) -> None:
        self.reasons.append(reason)
        if self.fails:
            raise RuntimeError("the application")


@pytest_asyncio.fixture
async def sessions() -> AsyncIterator[Sessions]:
    made = Sessions(EngineSettings(), count_nothing, Registry(10, 10), Unsent(1 << 20))
    yield made
    made.close()


@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.end(DisconnectReason.SERVER_ERROR),
        lambda session: session.abort(DisconnectReason.SERVER_ERROR),
        lambda session: session.close(DisconnectReason.SERVER_ERROR),
        lambda session: session.fail(IncidentKind.BAD_REQUEST, CloseCode.POLICY),
    ],
)
@pytest.mark.parametrize("which", ["the carrier", "the application"])
async def test_a_session_whose_end_fails_leaves_nothing_behind(
    sessions: Sessions, which: str, end: Callable[[Session], None]
) -> None:
    session = sessions.admit("192.0.2.1")
    application = Ended(which == "the application")
    carrier = (BrokenCarrier if which == "the carrier" else Polling)(session)
    session.start(carrier, lambda _: application, writable=True)
    with pytest.raises(RuntimeError, match=which):
        end(session)
    session.end(DisconnectReason.SERVER_ERROR)
    session.write(b"4x")
    assert len(application.reasons) == 1
    assert (session.is_open, session.writable, carrier.unsent) == (False, False, 0)
    assert list(sessions) == sessions.lingering.pending
