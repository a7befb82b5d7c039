"""Random histories of a collection, with what a window of it is at each moment: for the libraries' windows alone."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from services.common.ids import id_text
from services.common.order_json import order_json
from services.common.visible_fields import ALL_FIELDS
from tests.clients.bson_order import Document, first

LONGEST = 100  # orders at the beginning
KEPT = 40  # of a list: more than any of these windows asks for
MARK = "the place"
NAMES = ["Ada", "Bob", "ada", "Åke", "\U0001f600", "\uff01", ""]
STRANGE = [None, 7, 2.5, [1], "12", True]


@dataclass
class History:
    """The moments 0, 1, …: each has one change more, whose cursor is `e.<moment>-0`.

    ``lists``: the beginning of the sorted list at each moment, or of what follows the window's place. ``rows``: the
    orders of the window.
    """

    window: dict[str, Any]
    changes: list[dict[str, Any]]
    lists: list[list[Any]]
    rows: list[list[Any]]


def history(seed: int, changes: int = 100) -> History:
    """Make one up; most changes are near the window, so that orders enter and leave it.

    In most histories only deletions make another list necessary: in the others, changes do that no library can place.
    """
    dice = random.Random(seed)
    sort = dice.choice(("", "-")) + dice.choice(("_id", "customer_name"))
    window = {"sort": sort, "limit": dice.randint(1, 6), "skip": dice.choice((0, 0, 2))}
    is_plain = dice.random() < 0.7
    ebb = dice.choice((0.4, 0.4, 0.85))  # how many of the changes are deletions
    documents = {each["_id"]: each for each in _orders(dice, dice.randrange(LONGEST), is_plain=is_plain)}
    top = dice.choice([*documents.values(), *_orders(dice, 3, is_plain=is_plain)]) if dice.random() < 0.5 else None
    if top is not None:
        window["after"] = _place(sort, top)
    made = History(window, [], [], [])
    listed, begin = _keep(made, documents, top)
    for moment in range(1, changes + 1):
        near = [each["_id"] for each in listed[max(0, begin - 3) : begin + 8]]
        name = dice.choice(near if near and dice.random() < 0.7 else list(documents)) if documents else None
        if name is not None and dice.random() < ebb:
            del documents[name]
            operation, data = "DELETE", None
        else:
            (order,) = _orders(dice, 1, is_plain=is_plain)
            if name is not None and dice.random() < 0.4:
                order["_id"] = name
            name = order["_id"]
            operation = "UPDATE" if name in documents else "INSERT"
            documents[name] = order
            is_whole = is_plain or dice.random() < 0.95  # else it is too large for an event
            data = order_json(order, ALL_FIELDS) if is_whole else None
        change = {"operation": operation, "id": id_text(name), "data": data, "cursor": f"e.{moment}-0"}
        made.changes.append({**change, "at": "2026-01-01T00:00:00.000Z"})
        listed, begin = _keep(made, documents, top)
    return made


def _place(sort: str, top: Document) -> dict[str, Any]:
    field = sort.removeprefix("-")
    shown = {name: value for name, value in order_json(top, ALL_FIELDS).items() if name in {"_id", field}}
    return {"sort": sort, "mark": MARK, "order": {**shown, **({field: []} if isinstance(top.get(field), list) else {})}}


def _orders(dice: random.Random, count: int, *, is_plain: bool) -> Iterator[dict[str, Any]]:
    for _ in range(count):
        names = [ObjectId(f"{dice.randrange(90):024x}"), f"order {dice.randrange(60)}", dice.randrange(3)]
        (name,) = dice.choices(names, (10, 10, 0 if is_plain else 1))
        customer = dice.choice(NAMES if is_plain or dice.random() < 0.9 else STRANGE)
        yield {"_id": name, **({"customer_name": customer} if dice.random() < 0.9 else {})}


def _keep(made: History, documents: Mapping[Any, Document], top: Document | None) -> tuple[list[Document], int]:
    """Keep what is now; return all documents in their order, and where those that the window is of begin."""
    sort, limit, skip = made.window["sort"], made.window["limit"], made.window["skip"]
    every = first(documents.values(), sort, len(documents))
    below = every if top is None else first(every, sort, len(every), after=top)
    listed = [order_json(each, ALL_FIELDS) for each in below[:KEPT]]
    made.lists.append(listed)
    made.rows.append(listed[skip : skip + limit])
    return every, len(every) - len(below)
