"""Writes believable orders for a while, as a shop would, so that there is something to see.

`python -m services.commands.demo` stops by itself after `--count` changes, and touches no orders but its own.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bson import ObjectId

from services.commands.direct_writes import Orders, write_directly

MOST = 10_000
FASTEST = 200.0  # changes a second
_NEXT = {"pending": "shipped", "shipped": "delivered"}
# More than that are open at once in no shop of this size: then orders move on more often than new ones come.
_OPEN = 60
_FIRST = (
    "Ada",
    "Bruno",
    "Chiara",
    "Daniel",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Keiko",
    "Leila",
    "Mateo",
)
_LAST = (
    "Lindqvist",
    "Okafor",
    "Novak",
    "Mbeki",
    "Sørensen",
    "Castillo",
    "Yamamoto",
    "Andersson",
    "Kowalski",
    "Adeyemi",
)
_PRODUCTS = (
    "Walnut desk",
    "Espresso machine",
    "Trail running shoes",
    "Mechanical keyboard",
    "Noise-cancelling headphones",
    "Cast-iron pan",
    "Bicycle lights",
    "Two-person tent",
    "Watercolour set",
    "Graphics tablet",
    "Reading lamp",
    "Linen curtains",
)


class Shop:
    """A shop whose orders come, move on, and are now and then changed or cancelled."""

    def __init__(self, orders: Orders, chance: random.Random) -> None:
        self._orders = orders
        self._chance = chance
        self._open: dict[ObjectId, str] = {}
        self.done = {"added": 0, "moved on": 0, "changed": 0, "cancelled": 0}

    def step(self) -> None:
        """Make one change."""
        kind = self._chance.random()
        if len(self._open) < 3 or kind < 0.45 * (1 - len(self._open) / _OPEN) + 0.05:
            self._add()
        elif kind < 0.9:
            self._move_on()
        elif kind < 0.96:
            self._set(self._any(), product_name=self._chance.choice(_PRODUCTS))
            self.done["changed"] += 1
        else:
            order = self._any()
            self._orders.delete_one({"_id": order})
            del self._open[order]
            self.done["cancelled"] += 1

    def _add(self) -> None:
        order = ObjectId()
        customer = f"{self._chance.choice(_FIRST)} {self._chance.choice(_LAST)}"
        fields = {"customer_name": customer, "product_name": self._chance.choice(_PRODUCTS), "status": "pending"}
        self._orders.insert_one({"_id": order, **fields, "updated_at": datetime.now(UTC)})
        self._open[order] = "pending"
        self.done["added"] += 1

    def _move_on(self) -> None:
        order = next(iter(self._open)) if self._chance.random() < 0.5 else self._any()
        status = self._open[order] = _NEXT[self._open[order]]
        if status not in _NEXT:
            del self._open[order]
        self._set(order, status=status)
        self.done["moved on"] += 1

    def _any(self) -> ObjectId:
        return self._chance.choice([*self._open])

    def _set(self, order: ObjectId, **fields: str) -> None:
        self._orders.update_one({"_id": order}, {"$set": {**fields, "updated_at": datetime.now(UTC)}})


def run(orders: Orders, count: int, rate: float, chance: random.Random, wait: Callable[[float], None]) -> str:
    """Make so many changes, about so many a second, and tell what was done. An interrupt (Ctrl-C) ends it early."""
    shop = Shop(orders, chance)
    try:
        for _ in range(count):
            shop.step()
            wait(chance.expovariate(rate) if rate < FASTEST else 0)  # as customers come: not at a steady pace
    except KeyboardInterrupt:
        pass
    return ", ".join(f"{number} {what}" for what, number in shop.done.items()) + ": orders of a shop"


def main(arguments: list[str] | None = None) -> int:
    """Write, print what was written, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description="Write believable orders, past the API.")
    parser.add_argument("--count", type=_count, default=300, help=f"how many changes (up to {MOST:,}; 300)")
    parser.add_argument("--rate", type=_rate, default=5.0, help=f"about how many a second (up to {FASTEST:.0f}; 5)")
    options = parser.parse_args(arguments)

    def write(orders: Orders) -> str:
        seconds = options.count / options.rate
        print(f"Writing {options.count} changes, for about {seconds:.0f} seconds; Ctrl-C ends it sooner.", flush=True)
        return run(orders, options.count, options.rate, random.Random(), time.sleep)

    return write_directly("orders-demo", write)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.1 <= rate <= FASTEST:
        raise argparse.ArgumentTypeError(f"must be a number from 0.1 to {FASTEST:.0f}")
    return rate


if __name__ == "__main__":
    sys.exit(main())
