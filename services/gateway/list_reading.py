"""Reads a list from a mark on: step by step, until a page is full."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bson import Timestamp
from bson.raw_bson import RawBSONDocument

from services.common.cursor import cluster_time
from services.common.documents import Json
from services.common.fair_turns import Pace
from services.common.filter_fields import FILTER_FIELDS
from services.gateway.audience import Rights, permits
from services.gateway.bson_element import MISSING, Element, element
from services.gateway.conditions import exact_matches
from services.gateway.decoded_order import DecodedOrder
from services.gateway.filters import EVERYTHING
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.list_mark import KeyMark, Place
from services.gateway.list_plan import is_merged, parts, question
from services.gateway.list_query import ListQuery
from services.gateway.list_source import ListSource
from services.gateway.list_stretch import ListPart, Shape, Stretch, stretches
from services.gateway.page_mark import PageMark
from services.gateway.snapshot_read import INLINE_BYTES, Question

Order = dict[str, Json]
Mark = PageMark | KeyMark

# What is read of every order, also where it is not shown: its place in the list, and what decides filters.
_ALWAYS = ("_id", *FILTER_FIELDS)


class OrdersPage(NamedTuple):
    """Orders as they were at cluster time ``at``, exactly; the marks lead to the next page and to the one before.

    ``total``: how many orders the list has, or one more than are counted.
    """

    orders: list[Order]
    next_after: str | None
    at: int
    is_small: bool  # it can be encoded in one step
    previous_before: str | None = None
    total: int | None = None


class Listed(NamedTuple):
    """An order that was read, and its place in the list."""

    found: DecodedOrder
    place: Place
    is_duplicate: bool  # an earlier part of the list has it, too


class Step(NamedTuple):
    """One question to ask: a stretch of a part of the list."""

    number: int  # of the part
    part: ListPart
    stretch: Stretch


class Reading:
    """One way through a list, from a mark on."""

    def __init__(self, source: ListSource, query: ListQuery, rights: Rights, pace: Pace, *, is_head: bool) -> None:
        self._source = source
        self._query = query
        self._rights = rights
        self._pace = pace
        self._is_head = is_head
        self._parts = parts(query)
        self.is_back = query.before is not None
        self.mark: Mark | None = query.before if self.is_back else query.after
        self.skip = 0 if self.mark is None else self.mark.skip

    def steps(self) -> Iterator[Step]:
        """Give what to ask for, one after the other."""
        place = place_of(self.mark)
        numbers = range(len(self._parts))
        merged = is_merged(self._query, self._rights)
        if place is not None and place.part not in numbers:
            name = "before" if self.is_back else "after"
            raise InvalidInput([FieldFault(name, "is not the mark of a page of this list")])
        for number in reversed(numbers) if self.is_back else numbers:
            if place is None or (number <= place.part if self.is_back else number >= place.part):
                part = self._parts[number]
                here = place if place is not None and number == place.part else None
                is_descending = self._query.is_descending != self.is_back
                for stretch in stretches(part, here, is_descending=is_descending, is_merged=merged):
                    yield Step(number, part, stretch)

    def question(self, step: Step, at: Timestamp | None) -> Question:
        """Return the question of a step, as of the time of an earlier one."""
        asked = question(self._query, self._rights, step.part, step.stretch)
        return asked._replace(skip=self.skip, at=at, projection=self._projection(step.part))

    async def skip_on(self, asked: Question) -> None:
        """Note that the orders to skip go beyond this stretch."""
        self.skip -= await self._source.count(asked, self.skip)

    async def listed(
        self, step: Step, found: Sequence[DecodedOrder], stored: Callable[[], Sequence[RawBSONDocument]]
    ) -> list[Listed]:
        """Return the orders that were found in a step, each with its place: many fields make that long to find."""
        raws: Sequence[RawBSONDocument | None] = [None] * len(found) if self._query.is_by_id else stored()
        listed: list[Listed] = []
        for one, raw in zip(found, raws, strict=True):
            # Compared once more, as live events are: a condition that lets too much through must not show it.
            if self._rights == EVERYTHING or permits(self._rights, one.id, one.fields):
                listed.append(self._by_id(one) if raw is None else self._by_key(step, one, bytes(raw.raw)))
            await self._pace.step()
        return listed

    @staticmethod
    def _by_id(found: DecodedOrder) -> Listed:
        return Listed(found, Place(0, MISSING, found.id), is_duplicate=False)

    def _by_key(self, step: Step, found: DecodedOrder, raw: bytes) -> Listed:
        has_value = step.part.shape is not Shape.ARRAYS and step.part.field != "_id"
        value = element(raw, step.part.field) if has_value else MISSING
        text = self._query.q
        earlier = {part.field for part in self._parts[: step.number]} - {step.part.field}
        is_duplicate = text is not None and any(_begins(element(raw, field), text) for field in earlier)
        return Listed(found, Place(step.number, value, found.id), is_duplicate)

    def shown(self, listed: Sequence[Listed]) -> list[Order]:
        """Return the orders as they are shown, without those that match for MongoDB only."""
        found = [each.found for each in listed if not each.is_duplicate]
        choice = self._query.fields
        orders = [each.order for each in exact_matches(self._query, found)]
        return orders if choice is None else [choice.shown(each) for each in orders]

    def _projection(self, part: ListPart) -> dict[str, int] | None:
        needed = {*_ALWAYS, part.field}
        if self._is_head:
            return dict.fromkeys(sorted(needed), 1)
        choice = self._query.fields
        if choice is None:
            return None
        if choice.leaves_out:
            return dict.fromkeys(sorted({*choice.names} - needed), 0) or None
        return dict.fromkeys(sorted({*choice.names} | needed), 1)


class PageReading(Reading):
    """Reads one page."""

    def __init__(self, source: ListSource, query: ListQuery, rights: Rights, pace: Pace, *, is_head: bool) -> None:
        super().__init__(source, query, rights, pace, is_head=is_head)
        self._listed: list[Listed] = []
        self._has_more = False
        self._bytes = 0
        self._time: Timestamp | None = None

    @property
    def time(self) -> Timestamp:
        """The time at which it was read."""
        if self._time is None:
            raise RuntimeError("nothing was read")
        return self._time

    async def read(self) -> None:
        """Read as many orders as the page has, and whether there are more."""
        limit = self._query.limit
        for step in self.steps():
            asked = self.question(step, self._time)
            snapshot = await self._source.ask(asked, limit + 1 - len(self._listed), self._pace)
            self._time = asked.at or snapshot.time
            self._bytes += len(snapshot.reply.raw)
            self._listed += await self.listed(step, snapshot.documents, snapshot.stored)
            self._has_more = snapshot.is_truncated or len(self._listed) > limit
            if self._has_more:
                return
            if self.skip:
                if snapshot.documents:
                    self.skip = 0
                else:
                    await self.skip_on(asked._replace(at=self._time, skip=0))

    def page(self, total: int | None) -> OrdersPage:
        """Return what was read."""
        listed = self._listed[: self._query.limit]
        places = [each.place for each in listed]
        onward = self._beyond(places, self.mark) if self._has_more else None
        returning = self._returning(places)
        if self.is_back:
            listed, onward, returning = listed[::-1], returning, onward
        shown = [] if self._is_head else self.shown(listed)
        following, previous = (None if mark is None else str(mark) for mark in (onward, returning))
        is_small = self._bytes <= INLINE_BYTES
        return OrdersPage(shown, following, cluster_time(self.time), is_small, previous, total)

    def _beyond(self, places: Sequence[Place], mark: Mark | None) -> Mark | None:
        if self._query.is_by_id:
            return PageMark.following([place.id for place in places], mark if isinstance(mark, PageMark) else None)
        return KeyMark.beyond(self._query.name, places, mark if isinstance(mark, KeyMark) else None)

    def _returning(self, places: Sequence[Place]) -> Mark | None:
        """Return the mark of the page on the other side; None where there is none, or no key fits into a header."""
        if self.mark is None or not self._query.has_links:
            return None
        mark = self._beyond(places[::-1], None)
        return None if place_of(mark) is None else mark


def place_of(mark: Mark | None) -> Place | None:
    """Return the place that a mark marks."""
    if isinstance(mark, PageMark):
        return None if mark.below is None else Place(0, MISSING, mark.below)
    return None if mark is None else mark.place


def _begins(value: Element, text: str) -> bool:
    """Tell whether a search for the text finds this value."""
    if value.type == 7:
        return value.data.hex().startswith(text.lower())
    return value.type in (2, 14) and value.data[4:-1].startswith(text.encode())
