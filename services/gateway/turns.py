"""Does work for many a little at a time, so that the event loop is never kept from everything else for long."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Soon = Callable[[Callable[[], None]], None]

TURN_SECONDS = 0.0005  # after so long the loop does something else first


def call_soon(call: Callable[[], None]) -> None:
    """Let the running loop call it, once it has done what is due now."""
    asyncio.get_running_loop().call_soon(call)


class Turns(Generic[Item]):
    """Calls ``act(item)`` once for each that was added, in this order, some in each pass of the event loop.

    ``act`` does a bounded amount of work, adds the item again where there is more to be done, and never fails.
    """

    def __init__(self, act: Callable[[Item], None], soon: Soon = call_soon) -> None:
        self._act = act
        self._soon = soon
        self._waiting: OrderedDict[Item, None] = OrderedDict()
        self._arranged = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        """Let it have its turn, behind all that wait already."""
        self._waiting[item] = None
        self._arrange()

    def discard(self, item: Item) -> None:
        """Let it have no turn any more."""
        self._waiting.pop(item, None)

    def _arrange(self) -> None:
        if not self._arranged:
            self._arranged = True
            self._soon(self._take)

    def _take(self) -> None:
        self._arranged = False
        end = monotonic() + TURN_SECONDS
        for _ in range(len(self._waiting)):  # nobody twice
            if not self._waiting:
                break
            item, _none = self._waiting.popitem(last=False)
            self._act(item)
            if monotonic() > end:
                break
        if self._waiting:
            self._arrange()


class Turn:
    """The turns of one long work of many small steps, in a task of its own: ``await turn.end()`` after each step."""

    def __init__(self) -> None:
        self._began = monotonic()

    def begin(self) -> None:
        """Count from now on: what was done before was waiting."""
        self._began = monotonic()

    async def end(self) -> bool:
        """Let the others go on for as long as this turn has taken, once it was long enough; tell whether it was.

        To yield for one pass of the loop would not do: of a busy loop, this work would still have every second pass.
        """
        spent = monotonic() - self._began
        if spent < TURN_SECONDS:
            return False
        await asyncio.sleep(spent)
        self.begin()
        return True
