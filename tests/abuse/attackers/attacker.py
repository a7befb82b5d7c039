"""What an attacker is: one hostile client of a kind, or one hostile address, that goes on until it is stopped."""

import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

HOST = "127.0.0.1"
SOURCE = "127.0.0.2" if sys.platform == "linux" else HOST  # only there is all of 127/8 the machine's own
MARK = "hostile"  # in every text that an attacker sends, so that it can be looked for where it must not be


@dataclass(frozen=True, slots=True)
class Target:
    """The product under attack.

    ``since`` is a cursor older than what Redis still holds; ``source`` the address that the attacker connects from, so
    that what is counted by address is not counted against the bystander.
    """

    port: int
    watcher_port: int
    since: str
    seed: int = 0
    host: str = HOST
    source: str = SOURCE


Tally = Counter[str]
"""What became of an attack: connections, bytes, cuts, and how often each HTTP status came."""

Attack = Callable[[Target, Tally], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attacker:
    """``run`` attacks until it is cancelled. ``writes``: it makes orders of its own."""

    name: str
    about: str
    run: Attack
    writes: bool = False


def attacker(*, writes: bool = False) -> Callable[[Attack], Attacker]:
    """Make an attacker of a function: its name is the attacker's, its docstring says what it does."""

    def made(run: Attack) -> Attacker:
        name = getattr(run, "__name__", "").replace("_", "-")
        about = " ".join((run.__doc__ or "").split()).removesuffix(".")
        return Attacker(name, about, run, writes)

    return made
