"""The watcher's scripts touch only what the schema of Redis describes, and all of it."""

import re
from importlib.resources import files

from services.redis.schema import EntryField, HeadField

SCRIPTS = {
    file.name: file.read_text("utf-8") for file in files("services.watcher").iterdir() if file.name.endswith(".lua")
}
_CALL = re.compile(r"redis\.call\('(\w+)', KEYS\[(\d)\],?((?:[^()]|\([^()]*\)(?:\[\d\])?)*)\)", re.DOTALL)
_NAME = re.compile(r"'([^']+)'")


def named(commands: set[str]) -> set[str]:
    """Return the texts that the scripts give to these commands."""
    found: set[str] = set()
    for text in SCRIPTS.values():
        for command, _, arguments in _CALL.findall(text):
            if command in commands:
                found |= set(_NAME.findall(re.sub(r"redis\.call\([^)]*\)", "", arguments)))
    return found


def test_there_are_scripts_and_their_calls_are_found() -> None:
    assert SCRIPTS.keys() == {"publish.lua", "claim.lua", "begin.lua", "trim.lua"}
    calls = sum(len(_CALL.findall(text)) for text in SCRIPTS.values())
    on_keys = sum(text.count(", KEYS[") - text.count("'USAGE', KEYS[") for text in SCRIPTS.values())
    assert calls == on_keys


def test_the_scripts_know_the_fields_of_the_head() -> None:
    assert named({"HGET", "HMGET", "HSET"}) == set(HeadField)


def test_the_scripts_know_the_fields_of_an_entry() -> None:
    assert named({"XADD"}) == set(EntryField)
