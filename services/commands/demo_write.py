"""Changes an order directly in MongoDB, not through the API, as a batch job would.

`python -m services.commands.demo_write` has one order of its own, which each run advances: added, shipped, delivered,
deleted. It touches no other order.
"""

import sys
from datetime import UTC, datetime

from pymongo import DESCENDING

from services.commands.direct_writes import Orders, write_directly

# These two fields identify its order.
ORDER = {"customer_name": "make demo-write", "product_name": "An order written past the API"}
_NEXT = {"pending": "shipped", "shipped": "delivered"}


def main() -> int:
    """Do the next step, print it, and return the exit code."""
    return write_directly("orders-demo-write", move_on)


def move_on(orders: Orders) -> str:
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
