"""Finds the members that a change may concern without evaluating every filter."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from services.common.envelope import Operation
from services.common.filter_fields import FILTER_FIELDS
from services.gateway.filters import Filter, FilteredChange, Interest

Member = TypeVar("Member", bound=Hashable)
Key = tuple[str, str] | None
"""A field and a value of it; None for members that must see every change."""


class InterestIndex(Generic[Member]):
    """Members by their interest. The cost of a lookup depends on the filters that fit, not on how many there are."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[Member, None]] = {}

    def add(self, member: Member, interest: Interest) -> None:
        """Add a member."""
        for key in _keys(interest):
            self._by_key.setdefault(key, {})[member] = None

    def remove(self, member: Member, interest: Interest) -> None:
        """Remove a member."""
        for key in _keys(interest):
            members = self._by_key.get(key, {})
            members.pop(member, None)
            if not members:
                self._by_key.pop(key, None)

    def candidates(self, change: FilteredChange) -> Iterable[Member]:
        """Return, once each, every member whose filters may match the change, and perhaps a few more."""
        if self._by_key.keys() <= {None}:
            return self._by_key.get(None, {})  # no member has a filter
        found: dict[Member, None] = {}
        for key in _values(change):
            if key == _UNKNOWN:
                for members in self._by_key.values():
                    found.update(members)
                return found
            found.update(self._by_key.get(key, {}))
        return found


_UNKNOWN: Key = ("", "")
_MOST_SELECTIVE_FIRST = FILTER_FIELDS[::-1]


def _keys(interest: Interest) -> set[Key]:
    return {key for wanted in interest for key in _keys_of(wanted)}


def _keys_of(wanted: Filter) -> Iterator[Key]:
    """The values of the filter's most selective field: every order that the filter fits has one of them."""
    if wanted.ids is not None:
        yield from (("id", value) for value in wanted.ids)
        return
    for field in _MOST_SELECTIVE_FIRST:
        values: tuple[str, ...] | None = getattr(wanted, field)
        if values is not None:
            yield from ((field, value) for value in values)
            return
    yield None


def _values(change: FilteredChange) -> Iterator[Key]:
    """The keys of all members that may be shown the change, as it is or as ``left``."""
    yield None
    yield "id", change.id
    before = change.deciding_before if change.operation is Operation.UPDATE else {}
    for image in (change.deciding, before):
        if image is None:
            yield _UNKNOWN  # an unknown image may concern every member
            return
        for field in FILTER_FIELDS:
            value = image.get(field)
            if isinstance(value, str):
                yield field, value
