"""Describes a stream of changes: what is watched, under which name it is kept, and what clients are told."""

from typing import NamedTuple


class StreamSpec(NamedTuple):
    """One collection and all that is named after it."""

    name: str  # of its keys in Redis and of its checkpoint in MongoDB
    collection: str
    event: str  # by which clients are told a change
    filter_fields: tuple[str, ...]  # that a client's filter may look at, besides the id


ORDERS = StreamSpec(name="orders", collection="orders", event="orderUpdate", filter_fields=("status", "customer_name"))
