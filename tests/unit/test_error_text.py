"""No error is without a text, wherever it is logged or passed on."""

import re
from pathlib import Path

import pytest

from services.common.dependency_health import DependencyHealth
from services.common.error_text import error_text

SERVICES = Path(__file__).resolve().parents[2] / "services"
# The probe imports nothing, and names what it asked; the types of tasks' errors stand before their texts.
_BARE = re.compile(r"str\((?:error|exc)\)|(?<!`)\{error\}")


@pytest.mark.parametrize(
    ("error", "text"),
    [(TimeoutError(), "TimeoutError"), (ValueError("  "), "ValueError"), (OSError(2, "gone"), "[Errno 2] gone")],
)
def test_an_error_without_a_text_is_named_by_its_type(error: Exception, text: str) -> None:
    assert error_text(error) == text
    health = DependencyHealth("redis")
    health.failed(error)
    assert health.error == text


def test_errors_are_put_into_words_in_one_place() -> None:
    bare = [
        f"{path.relative_to(SERVICES)}:{number}"
        for path in SERVICES.rglob("*.py")
        if path.name not in {"error_text.py", "probe.py"}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if _BARE.search(line) and "type(error).__name__" not in line
    ]
    assert bare == []
