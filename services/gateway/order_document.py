"""The documents that clients' orders become, with what the server adds to them."""

from datetime import UTC, datetime

from bson import ObjectId

from services.gateway.orders import NewOrder, OrderChange
from services.gateway.snapshot_read import Document


def new_document(new: NewOrder, at: datetime | None = None) -> Document:
    """Return the document of a new order, created ``at`` this moment or now."""
    return {"_id": ObjectId(), **new.model_dump(), "updated_at": now() if at is None else at}


def changed_fields(change: OrderChange) -> Document:
    """Return the fields that a change sets."""
    return {**change.fields(), "updated_at": now()}


def now() -> datetime:
    """Return the time in BSON's precision, so that an answer equals the stored value."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
