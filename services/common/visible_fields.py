"""The fields of an order that clients may see; whatever turns an order into JSON leaves the others out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

EVERY_FIELD = "*"
_MARK = "v"  # no digit of an epoch's random part
_MARK_DIGITS = 12
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class VisibleFields:
    """The names of the visible fields; None for all. ``_id`` is always visible: it names the order."""

    names: frozenset[str] | None = None

    @classmethod
    def parse(cls, setting: object) -> Self:
        """Read ``*``, or names separated by commas; raise ValueError.

        An empty setting is refused: it could mean all fields or none, and a mistake must not show any.
        """
        if isinstance(setting, cls):
            return setting
        names = [part.strip() for part in str(setting).split(",") if part.strip()]
        if names == [EVERY_FIELD]:
            return cls()
        if not names:
            raise ValueError("must be names of fields, separated by commas, or * for all")
        for name in names:
            if name.startswith("$") or "*" in name or len(name) > _LONGEST_NAME:
                raise ValueError(f"{name[:_LONGEST_NAME]!r} is not the name of a field")
            if "." in name:
                whole = name.partition(".")[0]
                raise ValueError(f"{name!r} is a part of a field; name the whole field, as {whole!r}")
        return cls(frozenset({"_id", *names}))

    def __str__(self) -> str:
        """Write it as ``parse`` reads it."""
        return EVERY_FIELD if self.names is None else ",".join(sorted(self.names - {"_id"}) or ["_id"])

    def shows(self, name: str) -> bool:
        """Tell whether clients may see this field."""
        return self.names is None or name in self.names

    def of(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the visible part of a document."""
        if self.names is None:
            return document
        return {name: value for name, value in document.items() if name in self.names}

    @property
    def mark(self) -> str:
        """The end of the names of all epochs whose envelopes have these fields; empty where they have all.

        An envelope that was made under another setting is of another epoch: it is not served, and who has it reloads.
        """
        if self.names is None:
            return ""
        digest = hashlib.sha256("\n".join(sorted(self.names)).encode()).hexdigest()
        return _MARK + digest[:_MARK_DIGITS]

    def made(self, epoch: str) -> bool:
        """Tell whether the envelopes of this epoch have these fields."""
        _, mark, digest = epoch.partition(_MARK)
        return mark + digest == self.mark


ALL_FIELDS = VisibleFields()
