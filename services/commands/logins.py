"""The users and passwords by which one service signs in to MongoDB and Valkey: one, or two while it is rotated."""

from collections.abc import Sequence
from typing import NamedTuple


class Login(NamedTuple):
    """A user and its password."""

    user: str
    password: str


def users(name: str) -> tuple[str, str]:
    """Return the two users of a service, which alternate: MongoDB knows only one password for each user."""
    return name, f"{name}-2"


def logins(name: str, text: str) -> list[Login]:
    """Parse `[user:]password`, separated by commas, the newest first; raise ValueError without showing any of it.

    A password without one of the two users is that of the first.
    """
    found = []
    for entry in text.strip().split(","):
        user, separator, password = entry.strip().partition(":")
        found.append(Login(user, password) if separator and user in users(name) else Login(name, entry.strip()))
    if len(found) > 2 or not all(login.password for login in found):
        raise ValueError("must hold one password, or two with a comma between them")
    return found


def text_of(name: str, known: Sequence[Login]) -> str:
    """Return what `logins` parses."""
    return ",".join(login.password if login.user == name else ":".join(login) for login in known)
