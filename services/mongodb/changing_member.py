"""Mends what PyMongo makes of a member that is neither primary nor secondary when a connection to it is opened.

While a member changes its state, as at the beginning of a step-down, it is neither for a moment. PyMongo notes that a
connection opened then supports no sessions, and never asks again: for as long as the connection lives, each command
with a session of ours fails on it by ConfigurationError, which no retry cures. Checked against PyMongo 4.20.
"""

from collections.abc import MutableMapping
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect, ConfigurationError

_apply_to = AsyncClientSession._apply_to  # noqa: SLF001


def _apply_to_member(
    self: AsyncClientSession, command: MutableMapping[str, Any], is_retryable: bool, preference: Any, connection: Any
) -> None:
    try:
        _apply_to(self, command, is_retryable, preference, connection)
    except ConfigurationError as error:
        if connection.supports_sessions or not connection.is_repl:
            raise
        # The driver then closes its connections to this member, and checks anew what the member is.
        raise AutoReconnect("the connection was opened while the member changed its state") from error


def mend_sessions() -> None:
    """Let the driver treat such a connection as a broken one, so that its own retries and ours apply; idempotent."""
    AsyncClientSession._apply_to = _apply_to_member  # type: ignore[assignment, method-assign]  # noqa: SLF001
