"""Reads orders from the BSON in which they are stored; large ones in a thread, or no more of them than is asked for."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from services.common.documents import Json
from services.common.fair_turns import Pace
from services.common.filter_fields import FILTER_FIELDS, deciding_fields
from services.common.ids import id_text
from services.common.order_json import order_json
from services.common.visible_fields import VisibleFields
from services.gateway.bson_element import element, whole
from services.gateway.large_document import json_in_pieces

# A larger document than this is converted in a thread, which takes turns with the event loop.
THREAD_BYTES = 131_072
# Documents that are larger together are read in one thread: in turns, with a pause after each long one, it would take
# several times as long.
_TOGETHER_BYTES = 1_048_576


class DecodedOrder(NamedTuple):
    """The visible part of a document as JSON, and its stored fields, of a large one those only that decide filters."""

    order: dict[str, Json]
    document: Mapping[str, Any]
    is_large: bool = False  # what is done with all of it is done in a thread

    @property
    def id(self) -> str:
        """The text of its ``_id``."""
        return str(self.order["_id"])

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that decide filters."""
        return deciding_fields(self.document) or {}


def is_large(document: RawBSONDocument) -> bool:
    """Tell whether what is done with all of a document is done in a thread."""
    return _is_large(document.raw)


async def read(document: RawBSONDocument, visible: VisibleFields) -> DecodedOrder:
    """Read a document; a large one in a thread, which takes turns with the event loop."""
    return await _read_raw(bytes(document.raw), visible)


async def read_each(
    found: Sequence[RawBSONDocument],
    pace: Pace,
    visible: VisibleFields,
    most_bytes: int | None = None,
    *,
    leaves_large: bool = False,
) -> list[DecodedOrder]:
    """Read documents, at this pace; ``most_bytes`` of BSON, or one larger document."""
    documents: list[DecodedOrder] = []
    size = 0
    for each in found:
        size += len(each.raw)
        if documents and most_bytes is not None and size > most_bytes:
            break
        is_left = leaves_large and is_large(each)
        documents.append(what_decides(bytes(each.raw)) if is_left else await read(each, visible))
        await pace.step()
    return documents


async def read_all(stored: Sequence[bytes], pace: Pace, visible: VisibleFields) -> list[DecodedOrder]:
    """Read all of these documents, at this pace, or in a thread where they are large together."""
    if sum(map(len, stored)) > _TOGETHER_BYTES:
        return await asyncio.to_thread(_read_large_ones, stored, visible)
    documents = []
    await pace.begin()
    for each in stored:
        documents.append(await _read_raw(each, visible))
        await pace.step()
    return documents


def what_decides(raw: bytes) -> DecodedOrder:
    """Read the id and the fields that decide filters only: to read all of a large order, or of hundreds, takes long."""
    every = {name: element(raw, name).known for name in ("_id", *FILTER_FIELDS)}
    return DecodedOrder({"_id": id_text(every.pop("_id"))}, every, _is_large(raw))


async def _read_raw(raw: bytes, visible: VisibleFields) -> DecodedOrder:
    return await asyncio.to_thread(_read_large, raw, visible) if _is_large(raw) else _read(raw, visible)


def _read(raw: bytes, visible: VisibleFields) -> DecodedOrder:
    document = whole(raw)
    # Without the document: to free hundreds of large ones at once, when the list has been sent, would take 50 ms.
    return DecodedOrder(order_json(document, visible), deciding_fields(document) or {}, _is_large(raw))


def _read_large(raw: bytes, visible: VisibleFields) -> DecodedOrder:
    try:
        order = json_in_pieces(raw, visible.shows)
    except InvalidBSON:
        return _read(raw, visible)
    known = what_decides(raw)
    return DecodedOrder({**order, **known.order}, deciding_fields(known.document) or {}, known.is_large)


def _read_large_ones(stored: Iterable[bytes], visible: VisibleFields) -> list[DecodedOrder]:
    return [_read_large(each, visible) for each in stored]


def _is_large(raw: bytes | memoryview) -> bool:
    return len(raw) > THREAD_BYTES
