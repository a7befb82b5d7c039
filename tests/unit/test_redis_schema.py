"""The watcher's scripts touch only what the schema of Redis describes, and all of it."""

import re
from importlib.resources import files

from services.gateway.redis_log import _Message
from services.redis.schema import EntryField, HeadField, MessageField

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


def calls(command: str) -> list[tuple[str, str]]:
    """Return the script and the arguments of each call of this command."""
    found = ((name, call) for name, text in SCRIPTS.items() for call in _CALL.findall(text))
    return [(name, arguments) for name, (called, _, arguments) in found if called == command]


def test_there_are_scripts_and_their_calls_are_found() -> None:
    assert SCRIPTS.keys() == {"publish.lua", "claim.lua", "restart.lua", "trim.lua"}
    calls = sum(len(_CALL.findall(text)) for text in SCRIPTS.values())
    on_keys = sum(text.count(", KEYS[") - text.count("'USAGE', KEYS[") for text in SCRIPTS.values())
    assert calls == on_keys


def test_the_scripts_know_the_fields_of_the_head() -> None:
    assert named({"HGET", "HMGET", "HSET"}) == set(HeadField)


def test_the_scripts_know_the_fields_of_an_entry() -> None:
    assert named({"XADD"}) == set(EntryField)


def test_an_entry_has_its_fields_in_the_order_in_which_the_scripts_read_them() -> None:
    """Redis returns an entry as a list of names and values, from which the scripts take the position before it."""
    written = [_NAME.findall(arguments) for _, arguments in calls("XADD")]
    assert written == [list(EntryField)]
    places = {int(place) for text in SCRIPTS.values() for place in re.findall(r"oldest\[2\]\[(\d+)\]", text)}
    assert places == {2 * (list(EntryField).index(EntryField.PREV) + 1)}


def test_a_message_has_the_same_fields_in_the_scripts_and_for_the_gateway() -> None:
    published = {name: re.findall(r'"(\w+)":', arguments) for name, arguments in calls("PUBLISH")}
    assert published == {"publish.lua": list(MessageField), "restart.lua": list(MessageField)}
    assert _Message.__struct_fields__ == tuple(MessageField)
