"""The program that writes orders while the page is measured: half changes, a third inserts, the rest deletions."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

RATE = 200.0  # writes a second
RECENT = 500  # the newest orders, which are changed and deleted
STATUSES = ("pending", "shipped", "delivered")


def order(number: int) -> dict[str, Any]:
    """Return a typical order."""
    return {
        "_id": ObjectId(),
        "customer_name": f"Customer {number % 997}",
        "product_name": f"Product {number % 89}",
        "status": STATUSES[number % 3],
        "updated_at": datetime.now(UTC),
    }


class Writer:
    """A program that writes orders at a steady rate, in a thread of its own."""

    def __init__(self, orders: Collection[dict[str, Any]]) -> None:
        self._orders = orders
        self._random = random.Random(7)
        self._recent = [each["_id"] for each in orders.find({}, {"_id": 1}).sort("_id", -1).limit(RECENT)][::-1]
        self._number = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._write_until, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _write_until(self, stop: threading.Event) -> None:
        began, written = time.monotonic(), 0
        while not stop.is_set():
            self._write()
            written += 1
            time.sleep(max(0.0, began + written / RATE - time.monotonic()))

    def _write(self) -> None:
        self._number += 1
        kind = self._random.random()
        if kind < 1 / 3 or len(self._recent) < 10:
            document = order(self._number)
            self._orders.insert_one(document)
            self._recent = [*self._recent[-RECENT:], document["_id"]]
        elif kind < 5 / 6:
            change = {"status": self._random.choice(STATUSES), "updated_at": datetime.now(UTC)}
            self._orders.update_one({"_id": self._random.choice(self._recent)}, {"$set": change})
        else:
            self._orders.delete_one({"_id": self._recent.pop(self._random.randrange(len(self._recent)))})
