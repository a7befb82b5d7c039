"""Packages whose inside a file of ours knows stay at the versions that it was checked against."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]

# Before you raise a bound: read the file's notes on the package, and compare them with the new version.
KNOWN_INSIDE = {
    "aiohttp": [
        "services/front/answered_errors.py",
        "services/front/http_connection.py",
        "services/front/runner.py",
        "services/gateway/edge/takeover.py",
    ],
    "aiohttp-sse": ["services/gateway/sse/endpoint.py"],
    "prometheus-client": ["services/internal/exposition.py"],
    "pymongo": [
        "services/mongodb/changing_member.py",
        "services/mongodb/condition_wait.py",
        "services/mongodb/wire.py",
    ],
    "redis": ["services/redis/client.py", "services/redis/wire.py"],
}


def requirements() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {each.name: each for each in map(Requirement, project["dependencies"])}


@pytest.mark.parametrize(("package", "files"), KNOWN_INSIDE.items())
def test_a_package_whose_inside_is_known_has_an_upper_bound(package: str, files: list[str]) -> None:
    bounds = {each.operator for each in requirements()[package].specifier}
    assert "<" in bounds, f"{files} know the inside of {package}: give it an upper bound in pyproject.toml"


@pytest.mark.parametrize(("package", "files"), KNOWN_INSIDE.items())
def test_the_installed_version_is_one_that_was_checked(package: str, files: list[str]) -> None:
    found = version(package)
    assert found in requirements()[package].specifier, f"{package} is {found}: read {files} before this is changed"


def sources() -> dict[str, str]:
    return {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in (ROOT / "services").rglob("*.py")}


def test_a_file_says_which_package_it_was_checked_against_and_is_named_here() -> None:
    said = {
        (name.lower(), file)
        for file, text in sources().items()
        for name in re.findall(r"Checked against ([\w-]+)", text)
    }
    assert said == {(package, file) for package, files in KNOWN_INSIDE.items() for file in files}


def test_no_other_file_knows_the_inside_of_a_package() -> None:
    reached = re.compile(
        r"(?<!self)(?<!cls)\._[a-z]\w*.*# noqa: SLF001|super\(\)\._[a-z]|^from (?!services).* import _", re.MULTILINE
    )
    found = {file for file, text in sources().items() if reached.search(text)}
    assert found <= {file for known in KNOWN_INSIDE.values() for file in known}
