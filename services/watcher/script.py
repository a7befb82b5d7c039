"""A Lua script, and the commands that run it in Redis."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple, Self

from services.redis.wire import packed


class Script(NamedTuple):
    """A script is called by its digest, and sent in full when Redis does not know that."""

    text: str
    digest: str

    @classmethod
    def load(cls, name: str) -> Self:
        """Read the script `<name>.lua` in this folder."""
        text = files("services.watcher").joinpath(f"{name}.lua").read_text("utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def by_digest(self, keys: Sequence[str], args: Sequence[str | bytes]) -> bytes:
        """Return the command that runs the script by its digest; Redis replies NOSCRIPT if it is not cached."""
        return packed("EVALSHA", self.digest, len(keys), *keys, *args)

    def by_text(self, keys: Sequence[str], args: Sequence[str | bytes]) -> bytes:
        """Return the command that sends the script and runs it."""
        return packed("EVAL", self.text, len(keys), *keys, *args)
