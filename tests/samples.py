"""Reads metrics as text; the parser of Prometheus' client takes ten times as long, and tests ask again and again."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One line: its name, its labels and its figure."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str) -> Iterator[Sample]:
    """Yield what the text in Prometheus' format has."""
    for name, labels, value in _SAMPLE.findall(text):
        yield Sample(name, {key: _unescaped(shown) for key, shown in _LABEL.findall(labels)}, float(value))


def _unescaped(shown: str) -> str:
    if "\\" not in shown:
        return shown
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], shown)
