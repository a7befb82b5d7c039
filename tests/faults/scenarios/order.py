"""An order that a scenario writes itself, as well as the writers."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from tests.faults.audit import Audit
from tests.faults.crowd import CUSTOMERS
from tests.faults.order import stamped


def an_order(audit: Audit) -> dict[str, Any]:
    """Make an order whose outcome the ledger leaves open."""
    return {
        "_id": ObjectId(),
        "customer_name": audit.rng.choice(CUSTOMERS),
        "product_name": stamped(audit.writers.ledger.next_stamp()),
        "status": "pending",
        "updated_at": datetime.now(UTC),
    }
