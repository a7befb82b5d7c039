"""Writes the documentation of settings and metrics from the code: `python -m tools.reference`.

It fills the tables between the marks in docs/operations.md and writes .env.example; `--check` only reports whether they
are up to date.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from services.commands.provision_mongodb import ProvisionSettings
from services.common.dependency_health import DependencyHealth
from services.common.dependency_metrics import Dependency
from services.common.fair_turns import FairTurns
from services.common.secret_files import SECRET
from services.common.settings import CommonSettings
from services.embedded.settings import EmbeddedSettings
from services.front.connections import ConnectionBounds, Connections
from services.gateway.edge.registry import Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.hub import Hub
from services.gateway.metrics import GatewayMetrics
from services.gateway.ring import Ring
from services.gateway.settings import ROOT, GatewaySettings
from services.watcher.log_metrics import LogMetrics
from services.watcher.metrics import WatcherMetrics
from services.watcher.settings import WatcherSettings
from tools.marked_part import replaced

OPERATIONS = ROOT / "docs" / "operations.md"
ENV_EXAMPLE = ROOT / ".env.example"

SECTIONS: dict[str, type[BaseSettings]] = {
    "Both services": CommonSettings,
    "Gateway": GatewaySettings,
    "Watcher": WatcherSettings,
    "The stack of `make run`": EmbeddedSettings,
    "`python -m services.commands.provision_mongodb`": ProvisionSettings,
}


def main() -> int:
    """Write both files, or check them; return the exit code."""
    texts = {OPERATIONS: filled(OPERATIONS.read_text("utf-8")), ENV_EXAMPLE: env_example()}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is out of date: run python -m tools.reference")  # noqa: T201
        else:
            path.write_text(texts[path], "utf-8")
            print(f"Wrote {path.relative_to(ROOT)}")  # noqa: T201
    return int(bool(stale) and "--check" in sys.argv)


def filled(document: str) -> str:
    """Return the document with current tables between its marks."""
    for name, table in (("settings", settings_tables()), ("metrics", metrics_table())):
        begin, end = f"<!-- {name}: made by python -m tools.reference -->", f"<!-- {name}: end -->"
        document = replaced(begin, end, document, f"{begin}\n\n{table}\n\n{end}")
    return document


def settings_tables() -> str:
    """Return a table of variables for each part."""
    tables = []
    for title, fields in _sections():
        rows = [f"| `{name}` | {_code(_default(field))} | {_text(name, field)} |" for name, field in fields.items()]
        tables.append("\n".join([f"### {title}", "", "| Variable | Default | |", "|---|---|---|", *rows]))
    return "\n\n".join(tables)


def env_example() -> str:
    """Return an `.env` that names every variable and sets none."""
    lines = [
        "# Copy it to .env and set what you need; every variable has the default shown.",
        "# Made from the settings' definitions by python -m tools.reference. compose.yaml has some of its own besides:",
        "# GATEWAY_REPLICAS, WATCHER_REPLICAS and others, which docs/operations.md lists under The stack.",
    ]
    for title, fields in _sections():
        lines += ["", f"# --- {title.replace('`', '')}"]
        for name, field in fields.items():
            lines += ["", f"# {_text(name, field)}", f"# {name}={_default(field)}"]
    return "\n".join(lines) + "\n"


def metrics_table() -> str:
    """Return a table of all our own metrics."""
    rows = [f"| `{name}` | {kind} | {text} |" for name, kind, text in metrics()]
    return "\n".join(["| Metric | Kind | |", "|---|---|---|", *rows])


def metrics() -> Iterator[tuple[str, str, str]]:
    """Yield the name, kind and description of each metric, as in Prometheus."""
    for registry in (_gateway_registry(), _watcher_registry()):
        for family in sorted(registry.collect(), key=lambda family: family.name):
            if family.name.startswith(("orders_gateway_", "orders_watcher_")):
                name = f"{family.name}_total" if family.type == "counter" else family.name
                yield name, family.type, family.documentation


def _gateway_registry() -> CollectorRegistry:
    shown, ring = GatewayMetrics(), Ring(10)
    connections = Connections(ConnectionBounds(total=1, per_address=1, last_descriptor=1), lambda _: None)
    shown.levels.observe_connections(connections, Registry(1, 1), ())
    shown.observe(Hub(ring, lambda _: None, FairTurns()), ring, Unsent(1), [Dependency.of(DependencyHealth("redis"))])
    return shown.registry


def _watcher_registry() -> CollectorRegistry:
    shown = WatcherMetrics()
    shown.observe([DependencyHealth("redis")], ahead=1, batch=1, log=1)
    LogMetrics(shown.registry)
    return shown.registry


def _sections() -> Iterator[tuple[str, dict[str, FieldInfo]]]:
    """Yield each part's title, and its fields that no earlier part has."""
    known: set[str] = set()
    for title, settings in SECTIONS.items():
        fields = {name.upper(): field for name, field in settings.model_fields.items() if name not in known}
        known |= set(settings.model_fields)
        yield title, fields


def _text(name: str, field: FieldInfo) -> str:
    by_file = f" Or {name}_FILE names a file that holds it." if field.json_schema_extra is SECRET else ""
    return f"{field.description}{by_file}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    match value:
        case SecretStr():
            return value.get_secret_value()
        case bool():
            return json.dumps(value)
        case Path():
            return str(value.relative_to(ROOT)) if value.is_relative_to(ROOT) else str(value)
        case tuple() | frozenset() | list():
            return ",".join(str(item) for item in value)
        case _:
            return "" if value is None else str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main())
