"""Changes an order directly in MongoDB, not through the API, as a batch job would.

`python -m services.commands.demo_write` has one order of its own, which each run advances: added, shipped, delivered,
deleted. It touches no other order.
"""

import sys
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pymongo import DESCENDING, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, PyMongoError

from services.commands.setup_db import COLLECTION, DEFAULT_DATABASE
from services.commands.steps import wrong_settings
from services.commands.target import find_target, mongo_client
from services.common.error_text import error_text
from services.common.settings import WrongSetting
from services.mongodb.faults import explain

# These two fields identify its order.
ORDER = {"customer_name": "make demo-write", "product_name": "An order written past the API"}
_NEXT = {"pending": "shipped", "shipped": "delivered"}
_PATIENCE_MS = 5000


def main() -> int:
    """Do the next step, print it, and return the exit code."""
    try:
        target = find_target()
    except (ValidationError, WrongSetting) as error:
        print(wrong_settings(error), file=sys.stderr)
        return 1
    try:
        with mongo_client(target.uri, serverSelectionTimeoutMS=_PATIENCE_MS, appname="orders-demo-write") as client:
            database = client.get_default_database(DEFAULT_DATABASE)
            done = move_on(database.get_collection(COLLECTION, write_concern=WriteConcern("majority")))
    except WrongSetting as error:
        print(f"Nothing was written: {error_text(error)}", file=sys.stderr)
        return 1
    except PyMongoError as error:
        print(f"Nothing was written: {_reason(error, target.sentence)}", file=sys.stderr)
        return 1
    print(f"{done} ({target.sentence})")
    return 0


def _reason(error: PyMongoError, target: str) -> str:
    why = explain(error_text(error))
    if isinstance(error, ConnectionFailure):
        return f"no answer from {target} ({why}). Start `make run`, or set MONGODB_URI."
    return f"{target} refused it ({why})."


def move_on(orders: "Collection[dict[str, Any]]") -> str:
    """Advance our order by one step, and describe that step."""
    now = datetime.now(UTC)
    order = orders.find_one(ORDER, sort=[("_id", DESCENDING)])
    if order is None:
        made = orders.insert_one({**ORDER, "status": "pending", "updated_at": now})
        return f"Inserted the order {made.inserted_id}"
    here = {"_id": order["_id"]}
    if (status := _NEXT.get(str(order.get("status")))) is None:
        orders.delete_one(here)
        return f"Deleted the order {order['_id']}"
    orders.update_one(here, {"$set": {"status": status, "updated_at": now}})
    return f"Updated the order {order['_id']}: {status}"


if __name__ == "__main__":
    sys.exit(main())
