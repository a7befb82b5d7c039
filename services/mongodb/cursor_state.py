"""The state of an open cursor of MongoDB, from its replies, however they are read."""

from collections.abc import Mapping
from typing import Any

from bson import Int64

from services.mongodb.change_cursor import Documents

KILL_SECONDS = 1.0  # for killing a cursor; otherwise it expires on the server later


class CursorState:
    """The state of the cursor that ``reply`` opened; ``token`` is the latest resume token."""

    def __init__(self, reply: Mapping[str, Any], batch_size: int, await_ms: int) -> None:
        self._collection = reply["cursor"]["ns"].partition(".")[2]
        self.is_open = True
        self.token = ""
        self._first_batch = self._unpack(reply, "firstBatch")
        self._get_more = {
            "getMore": self._id,
            "collection": self._collection,
            "batchSize": batch_size,
            "maxTimeMS": await_ms,
        }

    def _unpack(self, reply: Mapping[str, Any], batch: str) -> Documents:
        cursor = reply["cursor"]
        self._id = Int64(cursor["id"])  # 0 where MongoDB has closed it itself
        self.is_open = self._id != 0
        if (token := cursor.get("postBatchResumeToken")) is not None:
            self.token = token["_data"]
        documents: Documents = cursor[batch]
        return documents

    def _mark_failed(self) -> None:
        """Note an error: MongoDB no longer has the cursor, or cannot be reached to kill it."""
        self.is_open, self._id = False, Int64(0)

    def _kill_command(self) -> dict[str, Any]:
        return {"killCursors": self._collection, "cursors": [self._id]}
