"""The envelope: the message to clients about one change."""

from enum import StrEnum

import orjson

from services.common.documents import Json


class Operation(StrEnum):
    """The operation on the order, as clients see it."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


def encode_envelope(operation: Operation, id: str, data: dict[str, Json] | None, cursor: str, at: str) -> bytes:
    """Return the envelope of one change as JSON, in the order and with the names that the contract gives.

    ``data`` is the order after the change; for DELETE the last known order, where the collection keeps pre-images.
    It is None if the order is unknown. ``at`` is the commit's wall time, ISO 8601 UTC.
    """
    return orjson.dumps({"operation": operation, "id": id, "data": data, "cursor": cursor, "at": at})


def left_filter(id: str, cursor: str, at: str) -> bytes:
    """Return the envelope that takes an order out of a client's view because it no longer fits the client's filter.

    It is a DELETE, so that a client unaware of filters does the right thing; ``left`` tells the others that the order
    still exists. It has no data, since the client may no longer see the order.
    """
    return orjson.dumps(
        {"operation": Operation.DELETE, "id": id, "data": None, "cursor": cursor, "at": at, "left": True}
    )
