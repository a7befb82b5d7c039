"""Derives from MongoDB's error which of the operator's rules an order breaks, without revealing any order's values."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.common.visible_fields import VisibleFields
from services.gateway.store_errors import OrderTooLarge, RuleBroken, StoreError, ValueTaken

_VALIDATION = 121
_NOT_UNIQUE = frozenset({11000, 11001, 12582})
_TOO_LARGE = frozenset({388, 10334, 17280, 17419, 17420})
# Values that an index cannot take, or that a sharded collection cannot change. Inserts need no list: MongoDB reports
# errors of one document separately from errors of the command.
_UNFIT = frozenset({
    2,  # BadValue
    11,  # GraphContainsCycle, of old indexes
    14,  # TypeMismatch
    28,  # PathNotViable
    66,  # ImmutableField: a shard key
    171,  # CannotIndexParallelArrays
    13026, 13027, 13068, 13654, 13655,  # 2d
    16755, 16756, 16804,  # 2dsphere
    16766,  # hashed
    17261, 17262,  # text: the language of a document
    31025,  # the shard key
})  # fmt: skip
_FIRST_LOCATION = 10_000  # errors below have names, and few of them concern a document
_SERVERS_OWN = frozenset({10107, 11600, 11601, 11602, 13388, 13435, 13436, 14031})  # no primary, stopping, disk full
_MAX_DEPTH = 20
_MAX_NAMES = 10
_LONGEST_NAME = 100


def refusal(
    code: int | None, details: Mapping[str, Any] | None, visible: VisibleFields, *, of_document: bool
) -> StoreError | None:
    """Return our error where MongoDB refuses the order itself, else None; it names ``visible`` fields only.

    ``of_document``: MongoDB has reported that one document cannot be written, not that the command failed.
    """
    told = details or {}
    if code == _VALIDATION:
        return RuleBroken("the collection's validator", _shown(_fields(told.get("errInfo")), visible))
    if code in _NOT_UNIQUE:
        fields = _names(told.get("keyPattern"))
        shown = _shown(fields, visible)
        return ValueTaken(
            f"a unique index on {', '.join(fields)}" if shown == fields != () else "a unique index", shown
        )
    if code in _TOO_LARGE:
        return OrderTooLarge("MongoDB's limits: 16 MiB for one document, and no more than its cache holds")
    if code in _UNFIT or (of_document and code is not None and code >= _FIRST_LOCATION and code not in _SERVERS_OWN):
        return RuleBroken(f"an index or a rule of the collection (MongoDB's error {code})")
    return None


def _shown(fields: tuple[str, ...], visible: VisibleFields) -> tuple[str, ...]:
    return tuple(name for name in fields if visible.shows(name.partition(".")[0]))


def _fields(info: Any) -> tuple[str, ...]:
    """Return the fields that a validator names; the rest of its report repeats the order's values."""
    return tuple(dict.fromkeys(_named(info, _MAX_DEPTH)))[:_MAX_NAMES]


def _named(part: Any, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(part, list):
        for each in part:
            yield from _named(each, depth - 1)
    if not isinstance(part, Mapping):
        return
    for key, value in part.items():
        match key:
            case "propertyName":
                yield from _names([value])
            case "missingProperties" | "additionalProperties":
                yield from _names(value)
            case "specifiedAs" if _is_condition(value):
                yield from _names(value)
            case "details" | "schemaRulesNotSatisfied" | "propertiesNotSatisfied" | "clausesNotSatisfied":
                yield from _named(value, depth - 1)


def _is_condition(specified: Any) -> bool:
    """Tell `{"field": {"$ne": …}}`, of a validator without a schema, from the keywords of a schema."""
    values = specified.values() if isinstance(specified, Mapping) else ()
    return any(isinstance(value, Mapping) and any(str(key).startswith("$") for key in value) for value in values)


def _names(names: Any) -> tuple[str, ...]:
    known = names if isinstance(names, (list, Mapping)) else ()
    return tuple(str(name)[:_LONGEST_NAME] for name in known if not str(name).startswith("$"))
