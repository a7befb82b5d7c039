"""A mongod with a clock of its own, to be put forward and back while it runs (libfaketime)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.embedded.mongod import Mongod

_LIBRARIES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


def _library() -> Path | None:
    found = (path for folder in _LIBRARIES for path in Path(folder).glob("**/libfaketimeMT.so.1"))
    return next(found, None)


def clock_missing() -> str | None:
    """Return why no clock can be shifted here, or None."""
    return None if _library() else "libfaketime is not installed (apt-get install faketime)"


@dataclass(eq=False, kw_only=True)
class ClockedMongod(Mongod):
    """Its clock is that of the machine plus the last `shift`; its timers are not shifted."""

    def env(self) -> Mapping[str, str]:
        self.shift(0)
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def shift(self, seconds: int) -> None:
        """Set the clock this far from the machine's."""
        self._file.write_text(f"{seconds:+d}\n", encoding="ascii")

    @property
    def _file(self) -> Path:
        return self.folder / "clock"
