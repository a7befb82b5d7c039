"""A collection's history according to MongoDB's change stream, to check the store's claims against."""

from typing import Any, NamedTuple

from bson import Timestamp

from services.common.documents import to_json
from tests.integration.rest_api import Orders


class Change(NamedTuple):
    """One change; ``at`` is its clusterTime as the store writes times."""

    operation: str
    id: str
    order: dict[str, Any] | None
    at: int


async def changes_since(orders: Orders, start: Timestamp, count: int = 0, *, until: str = "") -> list[Change]:
    """Return the first ``count`` changes from ``start`` on, in commit order; or those up to the first of ``until``."""
    found: list[Change] = []
    options = {"start_at_operation_time": start, "full_document": "required"}
    async with await orders.watch(**options) as stream:  # type: ignore[arg-type]
        while len(found) < count or (until and (not found or found[-1].id != until)):
            event = await stream.next()
            document = event.get("fullDocument")
            found.append(
                Change(
                    operation=event["operationType"],
                    id=str(event["documentKey"]["_id"]),
                    order=None if document is None else to_json(document),
                    at=event["clusterTime"].time << 32 | event["clusterTime"].inc,
                )
            )
    return found


async def begin(orders: Orders) -> Timestamp:
    """Make the collection, with post-images so that each change is shown as it was; return a time before any change."""
    await orders.database.create_collection(orders.name, changeStreamPreAndPostImages={"enabled": True})
    reply = await orders.database.command("ping")
    time: Timestamp = reply["operationTime"]
    return Timestamp(time.time, time.inc + 1)


def state_at(changes: list[Change], at: int) -> list[dict[str, Any]]:
    """Return the orders as they were at cluster time ``at``, newest id first."""
    state: dict[str, dict[str, Any]] = {}
    for change in changes:
        if change.at > at:
            break
        if change.order is None:
            del state[change.id]
        else:
            state[change.id] = change.order
    return [order for _, order in sorted(state.items(), reverse=True)]
