"""What docs/architecture.md names is there under this name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PLACES = [path for folder in ("services", "web", "clients", "tests") for path in (ROOT / folder).rglob("*")]


def members() -> Iterator[tuple[str, set[str]]]:
    """Yield each class with its methods and attributes."""
    for path in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name, {name for part in ast.walk(node) for name in names_of(part)}
    for folder in ("web", "clients/js/src"):
        for path in (ROOT / folder).glob("*.js"):
            for name, body in re.findall(
                r"^(?:export )?class (\w+)[^{\n]*\{$(.*?)^\}$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
            ):
                yield name, set(re.findall(r"^  (?:async |get |\*)*(#?\w+)\(", body, re.MULTILINE))


def names_of(part: ast.AST) -> Iterator[str]:
    """Yield the name that a part of a class gives to something."""
    match part:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
            yield name


def test_every_file_and_folder_is_there() -> None:
    named = set(re.findall(r"`([\w./-]+(?:\.(?:py|js|lua|c)|/))`", TEXT)) | set(
        re.findall(r"`(services/[\w/.]+)`", TEXT)
    )
    named |= set(re.findall(r"\bservices/[\w/.]+\.(?:py|lua|c)\b", TEXT))  # in the drawings
    there = {f"/{path.relative_to(ROOT)}" for path in PLACES}
    gone = {name for name in named if not any(path.endswith(f"/{name.strip('/')}") for path in there)}
    assert len(named) > 20
    assert not gone


def test_every_class_and_method_is_there() -> None:
    classes: dict[str, set[str]] = {}
    for name, parts in members():
        classes.setdefault(name, set()).update(parts)
    words = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", TEXT)) | set(re.findall(r"`([A-Z][a-z]\w*)`", TEXT))
    methods = set(re.findall(r"`([A-Z]\w+)\.(\w+)`", TEXT))
    in_drawings = re.findall(r"\b([A-Z]\w+)\.([a-z_]\w*)", TEXT)
    methods |= {each for each in in_drawings if each[0] in classes}
    assert len(words) > 15
    assert not words - classes.keys() - {"PyMongo", "JavaScript"}
    assert not {(owner, name) for owner, name in methods if name not in classes.get(owner, set())}
