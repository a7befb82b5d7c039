"""A Lua script, and the commands that have Redis run it."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple, Self

from services.redis.wire import packed


class Script(NamedTuple):
    """Redis may forget it; it is asked for by its digest, and told again where that is unknown."""

    text: str
    digest: str

    @classmethod
    def load(cls, name: str) -> Self:
        """Read it from the file of this name beside this one."""
        text = files("services.watcher").joinpath(f"{name}.lua").read_text("utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def by_digest(self, keys: Sequence[str], args: Sequence[str | bytes]) -> bytes:
        """Return the command that runs what Redis knows; it answers NOSCRIPT where it does not."""
        return packed("EVALSHA", self.digest, len(keys), *keys, *args)

    def by_text(self, keys: Sequence[str], args: Sequence[str | bytes]) -> bytes:
        """Return the command that tells Redis the script, and runs it."""
        return packed("EVAL", self.text, len(keys), *keys, *args)
