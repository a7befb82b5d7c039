"""The cursor that a change stream needs: a small protocol with two implementations."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from pymongo.asynchronous.database import AsyncDatabase

T = TypeVar("T")
Documents = Sequence[Mapping[str, Any]]


class ChangeCursor(Protocol):
    """An open cursor; ``token`` is the latest resume token, empty before the first."""

    is_open: bool
    token: str

    def prefetch(self) -> None:
        """Request the next batch ahead of `next_batch`, which otherwise requests it itself."""

    async def next_batch(self, consume: Callable[[Documents], T]) -> T:
        """Return ``consume``'s result for MongoDB's next batch, which is empty when no document came in time.

        ``consume`` is called as soon as the batch arrives. Raise PyMongoError, InvalidBSON, or its own error. An error
        or a cancellation ends the cursor.
        """


class OpenCursor(Protocol):
    """Opens a cursor on a whole database, read in batches of at most ``batch_size`` documents.

    MongoDB replies at the latest ``await_ms`` after it has searched the oplog up to its end. Documents are decoded with
    the codec options of ``database``. Raise PyMongoError.
    """

    def __call__(
        self, database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AbstractAsyncContextManager[ChangeCursor]: ...
