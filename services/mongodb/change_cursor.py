"""What a change stream needs of a cursor of MongoDB: a small protocol that has two implementations."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from pymongo.asynchronous.database import AsyncDatabase

T = TypeVar("T")
Documents = Sequence[Mapping[str, Any]]


class ChangeCursor(Protocol):
    """An open cursor; ``token`` is the resume token that came last, empty before the first."""

    is_open: bool
    token: str

    def prefetch(self) -> None:
        """Let MongoDB find the next documents meanwhile; without it, `next_batch` asks."""

    async def next_batch(self, consume: Callable[[Documents], T]) -> T:
        """Return what ``consume`` makes of the documents that MongoDB sends next, none where none came in time.

        It is called as soon as they are there. Raise PyMongoError, InvalidBSON, or what it raises. That or to be
        cancelled ends the cursor.
        """


class OpenCursor(Protocol):
    """Opens a cursor on a whole database meanwhile, to be read by at most ``batch_size`` documents at once.

    A question is answered ``await_ms`` after MongoDB has looked through what there was, at the latest. Documents are
    decoded as ``database`` says. Raise PyMongoError.
    """

    def __call__(
        self, database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AbstractAsyncContextManager[ChangeCursor]: ...
