"""Everything in PyMongo that is mended, for all that make a client of it."""

from services.mongodb.changing_member import mend_sessions
from services.mongodb.condition_wait import mend_waits


def mend_driver() -> None:
    """Mend it, before it is used; idempotent. Without it, operations hang for ever, or fail, while MongoDB is down."""
    mend_waits()
    mend_sessions()
