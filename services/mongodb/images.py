"""What MongoDB sends of the documents before and after a change: no more than is made of them, whatever their size."""

from collections.abc import Mapping
from typing import Any

from services.common.filter_fields import FILTER_FIELDS, LONGEST_VALUE
from services.common.normalize import DECIDING, IMAGES
from services.common.visible_fields import VisibleFields

Expression = Any


def images_within(largest: int, visible: VisibleFields, wanted: Mapping[str, Expression]) -> dict[str, Expression]:
    """Return what a projection has of the images named in ``wanted``, each where that condition holds.

    A larger one, in bytes of BSON, is left out: to decode 12 MB takes half a second, in which nothing else is done, and
    an order of that size is never sent to clients anyway.
    """
    return {image: _within(f"${image}", largest, visible, condition) for image, condition in wanted.items()}


def deciding_images() -> dict[str, Expression]:
    """Return what a projection has of those fields of both images that can decide filters."""
    return {DECIDING[image]: deciding_expression(f"${image}") for image in IMAGES}


def _within(image: str, largest: int, visible: VisibleFields, wanted: Expression) -> Expression:
    # Fields that are hidden count for nothing, or an order with a large one would always have to be fetched.
    names = None if visible.names is None else sorted({*visible.names, *FILTER_FIELDS})
    shown: Expression = image if names is None else {name: f"{image}.{name}" for name in names}
    is_small = {"$lte": [{"$bsonSize": shown}, largest]}
    return {"$cond": [{"$and": [{"$eq": [{"$type": image}, "object"]}, wanted, is_small]}, shown, "$$REMOVE"]}


def deciding_expression(image: str) -> dict[str, Any]:
    """Return the expression for the fields of an image that can decide filters, or null where there is no image.

    It is small whatever the document has in these fields.
    """
    fields = {name: _short_string(f"{image}.{name}") for name in FILTER_FIELDS}
    return {"$cond": [{"$eq": [{"$type": image}, "object"]}, fields, None]}


def _short_string(path: str) -> dict[str, Any]:
    is_short = {"$lte": [{"$strLenBytes": path}, 4 * LONGEST_VALUE]}  # in characters MongoDB may find it invalid
    return {
        "$cond": [{"$eq": [{"$type": path}, "string"]}, {"$cond": [is_short, path, "$$REMOVE"]}, "$$REMOVE"],
    }
