"""The writing process: `python -m bench.load.writer URI`; writes orders at a fixed rate, straight to MongoDB.

Takes one JSON command a line, the fields of `Work`; answers with the time of each write's acknowledgement by the
majority.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter, sleep
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from bench.load.reference import checksum

Orders = Collection[dict[str, Any]]
Acknowledged = tuple[int, int, float]  # the writer, its number, and when


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """``count`` orders from number ``first`` on, ``rate`` a second (0: as fast as possible), in bursts, by threads.

    Order n is that of customer n modulo ``customers``.
    """

    count: int
    first: int = 0
    rate: float = 0.0
    burst: int = 1
    writers: int = 1
    customers: int = 1
    padding: int = 40  # makes an envelope about as long as that of a typical order


def order(writer: int, number: int, work: Work) -> dict[str, Any]:
    customer = f"customer-{number % work.customers}"
    product = f"bench-{writer}-{number}-{'x' * work.padding}-"
    return {
        "customer_name": customer,
        "product_name": product + checksum((customer + product).encode()).decode(),
        "status": "pending",
        "updated_at": datetime.now(UTC),
    }


def write(orders: Orders, writer: int, work: Work) -> list[Acknowledged]:
    """Do one thread's share of the work."""
    acknowledged = []
    started = perf_counter()
    count, rate = work.count // work.writers, work.rate / work.writers
    for begin in range(0, count, work.burst):
        numbers = range(work.first + begin, work.first + min(begin + work.burst, count))
        if rate and (early := started + begin / rate - perf_counter()) > 0:
            sleep(early)
        documents = [order(writer, number, work) for number in numbers]
        if len(documents) == 1:
            orders.insert_one(documents[0])
        else:
            orders.insert_many(documents)
        now = perf_counter()
        acknowledged += [(writer, number, now) for number in numbers]
    return acknowledged


def write_all(orders: Orders, work: Work) -> list[Acknowledged]:
    """Share the work among threads, each with a connection of its own."""
    with ThreadPoolExecutor(work.writers) as threads:
        results = threads.map(lambda writer: write(orders, writer, work), range(work.writers))
        return [ack for result in results for ack in result]


def main() -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(sys.argv[1], w="majority")
    orders = client.get_default_database()["orders"]
    for line in sys.stdin:
        started = perf_counter()
        acknowledged = write_all(orders, Work(**json.loads(line)))
        print(json.dumps({"seconds": perf_counter() - started, "acknowledged": acknowledged}), flush=True)


if __name__ == "__main__":
    main()
