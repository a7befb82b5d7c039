"""Describes a stream of changes: the collection, the name of its keys, and the event that clients receive."""

from typing import NamedTuple

DEFAULT_DATABASE = "realtime_orders"  # of the collection, where MONGODB_URI names none


class StreamSpec(NamedTuple):
    """One collection and the names derived from it."""

    name: str  # of its keys in Redis and of its checkpoint in MongoDB
    collection: str
    event: str  # the name of the event for clients
    filter_fields: tuple[str, ...]  # usable in a client's filter, besides the id; the least selective first


ORDERS = StreamSpec(name="orders", collection="orders", event="orderUpdate", filter_fields=("status", "customer_name"))
