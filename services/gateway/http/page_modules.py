"""Joins the page's ES modules into one script, so that a browser asks once and nobody has to build anything.

Only the forms of `import` and `export` that the page uses are understood, each at the beginning of a line. Anything
else is refused, and the page is then served as it is.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from posixpath import dirname, join, normpath

_DOC_COMMENT = re.compile(r"/\*\*\s.*?\*/", re.DOTALL)
_LINE_COMMENT = re.compile(r"^[ \t]*//.*$", re.MULTILINE)
_BLANK = re.compile(r"^[ \t]*\n", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_IMPORT = re.compile(r'^import (?:(?P<names>\{[^}]*\})|\* as (?P<all>\w+)) from "(?P<path>\.[^"]*)";$', re.MULTILINE)
_EFFECT = re.compile(r'^import "(?P<path>\.[^"]*)";$', re.MULTILINE)
_LAZY = re.compile(r'\bimport\("(?P<path>\.[^"]*)"\)')
_DECLARED = re.compile(r"^export (?P<what>(?:async )?function\*?|class|const) (?P<name>\w+)", re.MULTILINE)
_LISTED = re.compile(r"^export \{(?P<names>[^}]*)\};$", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import\b(?!\()|export\b).*$|\bimport\.meta\b", re.MULTILINE)


class UnknownForm(Exception):
    """A module cannot be joined."""


def joined(entry: str, read: Callable[[str], str]) -> str:
    """Return one script that does what the module ``entry`` and all that it imports do.

    ``read`` returns the text of a module by its path. Each module becomes a function that is called once, in the order
    in which a browser would run them; one that is only imported lazily is called at its first use.
    """
    found: dict[str, _PageModule] = {}
    order: list[str] = []
    pending = [entry]
    for path in pending:  # it grows: a module that is imported lazily may import those that import it
        _visit(path, read, found, order, ())
        pending += [lazy for module in found.values() for lazy in module.may_need if lazy not in pending]
    eager = _eager(entry, found)
    numbers = {path: number for number, path in enumerate(order)}
    return "".join(found[path].text(numbers, eager) for path in order)


class _PageModule:
    """One module: its code without the imports and exports, and their names."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        code = _BLANK.sub("", _LINE_COMMENT.sub("", _DOC_COMMENT.sub("", source)))
        self._imports = [(self._at(match["path"]), match["names"] or match["all"]) for match in _IMPORT.finditer(code)]
        self._imports += [(self._at(match["path"]), "") for match in _EFFECT.finditer(code)]
        self._lazy = [self._at(match["path"]) for match in _LAZY.finditer(code)]
        self._exports = [match["name"] for match in _DECLARED.finditer(code)]
        for match in _LISTED.finditer(code):
            self._exports += [_exported(name) for name in match["names"].split(",") if name.strip()]
        code = _LISTED.sub("", _DECLARED.sub(r"\g<what> \g<name>", _EFFECT.sub("", _IMPORT.sub("", code))))
        if left := _LEFT_OVER.search(code):
            raise UnknownForm(f"{path}: {left[0]}")
        # A text over several lines keeps its spaces: that is where a line has only one end of it.
        whole = all(line.count("`") % 2 == 0 for line in code.splitlines())
        self._code = (_INDENT.sub("", code) if whole else code).strip()

    def _at(self, path: str) -> str:
        return normpath(join(dirname(self.path), path))

    @property
    def needs(self) -> Iterator[str]:
        """The modules that have to run before this one."""
        return (path for path, _ in self._imports)

    @property
    def may_need(self) -> Iterator[str]:
        return iter(self._lazy)

    def text(self, numbers: Mapping[str, int], eager: Container[str]) -> str:
        """Return the module as a statement; ``numbers`` has its own and those of the modules that it imports."""

        def value(path: str) -> str:
            return f"m{numbers[path]}" if path in eager else f"m{numbers[path]}()"

        lines = [f"const {_renamed(names)} = {value(path)};" for path, names in self._imports if names]
        lines += [f"{value(path)};" for path, names in self._imports if not names]
        code = _LAZY.sub(lambda match: f"Promise.resolve().then(() => {value(self._at(match['path']))})", self._code)
        returned = f"return {{ {', '.join(self._exports)} }};"
        body = "\n".join([*lines, code, returned])
        name = f"m{numbers[self.path]}"
        if self.path in eager:
            return f"// {self.path}\nconst {name} = (() => {{\n{body}\n}})();\n"
        return f"// {self.path}\nlet {name}made;\nconst {name} = () => ({name}made ??= (() => {{\n{body}\n}})());\n"


def _visit(
    path: str, read: Callable[[str], str], found: dict[str, _PageModule], order: list[str], above: tuple[str, ...]
) -> None:
    """Collect the modules, each after those that it needs."""
    if path in above:
        raise UnknownForm(f"{path} imports itself")
    if path in found:
        return
    module = found[path] = _PageModule(path, read(path))
    for needed in module.needs:
        _visit(needed, read, found, order, (*above, path))
    order.append(path)


def _eager(entry: str, found: Mapping[str, _PageModule]) -> set[str]:
    """Return the modules that run at once."""
    eager: set[str] = set()
    pending = [entry]
    while pending:
        path = pending.pop()
        if path not in eager:
            eager.add(path)
            pending.extend(found[path].needs)
    return eager


def _renamed(names: str) -> str:
    """`{ a as b }` of an import as a pattern: `{ a: b }`."""
    return re.sub(r"(\w+) as (\w+)", r"\1: \2", " ".join(names.split()))


def _exported(name: str) -> str:
    """`a as b` of an export as a property: `b: a`."""
    return re.sub(r"^(\w+) as (\w+)$", r"\2: \1", name.strip())
