"""Keeps a copy of a window: a list, the changes after it, and another list where those do not suffice."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from live_orders.changes import Change, Order
from live_orders.cursor import Cursor
from live_orders.errors import LiveOrdersError
from live_orders.place import Place, place_below
from live_orders.server import Answer, Server, Unavailable, raise_for
from live_orders.stream import StreamEvent
from live_orders.view import Rows
from live_orders.whole_copy import News
from live_orders.window import LONGEST_LIST, Outcome, Window, WindowState

_READ_AGAIN = 0.05  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 4.0  # seconds
_MOST_READS = 60  # of another epoch, until the stream is asked what has happened


class WindowCopy:
    """Takes the events of the stream at ``path``.

    While a list is being read, the stream waits, and the window stays what it was at its cursor: nobody sees it with a
    gap.
    """

    since = None

    def __init__(
        self,
        server: Server,
        collection: str,
        query: list[tuple[str, str]],
        window: Window,
        changed: Callable[[], None],
    ) -> None:
        self.path = f"{collection}/events"
        self.state = WindowState(window)
        after = [] if window.after is None else [("after", window.after["mark"])]
        self._list = f"{collection}?{urlencode([*query, ('sort', window.sort), *after])}"
        self._window = window
        self._server = server
        self._changed = changed
        self._needed: str | None = None  # a list that includes all changes up to this cursor

    def rows(self, written: Mapping[str, Order | None]) -> Rows:
        """Return the orders of the window, with our own writes among them."""
        return Rows(self.state.with_written(written), {})

    async def take(self, event: StreamEvent) -> News | None:
        """Take an event; return None where nothing can be seen of it."""
        state, told = self.state, event.told
        cursor = (told or {}).get("cursor") or event.id
        match event.name:
            case "resync":
                state.doubt("snapshot", told["reason"])
                self._changed()
                self._needed = cursor
            case "connected" if not state.is_loaded:
                self._needed = cursor
            case _ if self._needed is not None:
                self._needed = cursor or self._needed
            case "orderUpdate":
                change = Change.of(told)
                match state.apply(change):
                    case Outcome.APPLIED:
                        return News(change)
                    case Outcome.KNOWN:
                        return None
                self._needed = cursor
            case _ if event.id is not None:
                state.reached(event.id)
        if self._needed is None:
            return News()
        return News(reloaded=True) if await self._read(self._needed) else None

    async def next_place(self) -> Place | None:
        """Return the place below the last order of the window, as the list is now; None: there is no order below."""
        sort = self._window.sort
        asked = [("fields", sort.removeprefix("-")), ("limit", str(self._window.reach))]
        answer = await self._ask(asked, lambda _: None)
        return place_below(sort, self._window.reach, answer.body, answer.headers.get("Link", ""))

    async def _read(self, needed: str) -> bool:
        """Read the list until it includes all changes up to the cursor."""
        least, others, limit = Cursor.parse(needed), 0, self.state.most
        while others < _MOST_READS:
            answer = await self._ask([("limit", str(limit))], self._failed)
            cursor = answer.headers.get("Stream-Cursor")
            position = Cursor.parse(cursor)
            has_more = 'rel="next"' in answer.headers.get("Link", "")
            if has_more and len(answer.body) < self._window.reach:
                # Under a collation, MongoDB finds orders that do not fit the filter: the server has left them out.
                if limit == LONGEST_LIST:
                    raise LiveOrdersError("the collation hides the orders of the window")
                limit = LONGEST_LIST
                continue
            if cursor is not None and position is not None and position.has_passed(least):
                self.state.load(answer.body, cursor, has_more=has_more)
                self._needed = None
                return True
            # One of another epoch shows that the stream is about to say so.
            others += position is None or least is None or position.epoch != least.epoch
            await asyncio.sleep(_READ_AGAIN)
        return False

    def _failed(self, why: str) -> None:
        self.state.doubt("snapshot", why)
        self._changed()

    async def _ask(self, more: Sequence[tuple[str, str]], failed: Callable[[str], None]) -> Answer:
        """Ask for the list until it is given."""
        pause = _FIRST_PAUSE
        while True:
            try:
                answer = await self._server.request("GET", f"{self._list}&{urlencode(more)}")
                if answer.status == HTTPStatus.OK:
                    return answer
                raise_for(answer)
            except Unavailable as error:
                failed(str(error))
                await asyncio.sleep(max(error.after, pause * random.uniform(0.5, 1.0)))
                pause = min(2 * pause, _LONGEST_PAUSE)
