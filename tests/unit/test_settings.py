"""Settings come from the environment; a wrong one stops the process and is named; `.env.example` lists them all."""

import re
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from services.commands.provision_mongodb import ProvisionSettings
from services.common.settings import CommonSettings
from services.embedded.settings import EmbeddedSettings
from services.gateway.settings import GatewaySettings
from services.watcher.settings import WatcherSettings

ROOT = Path(__file__).parents[2]
CLASSES: list[type[BaseSettings]] = [
    CommonSettings,
    WatcherSettings,
    GatewaySettings,
    EmbeddedSettings,
    ProvisionSettings,
]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for settings in CLASSES:
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_everything_has_a_default() -> None:
    assert [settings() for settings in CLASSES]
    assert GatewaySettings().port == 3000
    assert WatcherSettings().watcher_port == 3001
    assert GatewaySettings().mongodb_uri == "mongodb://localhost:27017/realtime_orders"


def test_a_file_in_the_working_folder_counts_and_the_environment_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=4000\nLOG_LEVEL=DEBUG\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert (GatewaySettings().port, GatewaySettings().log_level) == (4000, "ERROR")


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,::1")
    settings = GatewaySettings()
    assert settings.cors_origins == {"https://a.example", "https://b.example"}
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))


def test_replicas_with_one_database_share_a_recovery_secret_and_it_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = GatewaySettings(), GatewaySettings(port=4000)
    assert one.recovery_secret == other.recovery_secret
    assert one.recovery_secret.get_secret_value() not in repr(one)
    monkeypatch.setenv("MONGODB_URI", "mongodb://elsewhere/orders")
    assert GatewaySettings().recovery_secret != one.recovery_secret
    monkeypatch.setenv("RECOVERY_SECRET", "mine")
    assert GatewaySettings().recovery_secret.get_secret_value() == "mine"


def test_a_replica_without_a_name_takes_the_hosts() -> None:
    assert GatewaySettings().server_name
    assert GatewaySettings(server_name="b").server_name == "b"


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (CommonSettings, "MONGODB_URI", "localhost:27017"),
        (CommonSettings, "MONGODB_URI", ""),
        (CommonSettings, "REDIS_URL", "http://localhost"),
        (CommonSettings, "LOG_LEVEL", "LOUD"),
        (CommonSettings, "LOG_FORMAT", "xml"),
        (GatewaySettings, "PORT", "70000"),
        (GatewaySettings, "PORT", "http"),
        (GatewaySettings, "TRUSTED_PROXIES", "10.0.0.300"),
        (GatewaySettings, "PING_TIMEOUT_SECONDS", "0"),
        (GatewaySettings, "PING_TIMEOUT_SECONDS", "nan"),
        (GatewaySettings, "MAX_PAYLOAD_BYTES", "10"),
        (GatewaySettings, "MAX_PACKETS_PER_SECOND", "0"),
        (GatewaySettings, "RING_EVENTS", "1.5"),
        (WatcherSettings, "WATCHER_PORT", "-1"),
        (WatcherSettings, "LEASE_SECONDS", "0.1"),
        (WatcherSettings, "BATCH_MAX_EVENTS", "0"),
        (WatcherSettings, "STALL_SECONDS", "5"),
        (EmbeddedSettings, "EMBEDDED_MONGODB_PORT", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, settings: type[BaseSettings], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        settings()
    assert {error["loc"][0] for error in refused.value.errors()} == {name.lower()}


@pytest.mark.parametrize("service", ["watcher", "gateway"])
def test_a_service_with_wrong_settings_names_every_one_and_does_not_start(service: str) -> None:
    wrong = {"REDIS_URL": "nowhere", "LOG_LEVEL": "LOUD", "WATCHER_PORT": "x", "PORT": "x"}
    ended = _run(service, wrong)
    lines = ended.stderr.splitlines()
    port = {"watcher": "WATCHER_PORT", "gateway": "PORT"}[service]
    assert ended.returncode == 2
    assert [line.split(":")[:2] for line in lines] == [
        [service, f" {name}"] for name in ("REDIS_URL", "LOG_LEVEL", port)
    ]
    assert ended.stdout == ""


def test_a_wrong_address_does_not_give_its_password_away() -> None:
    ended = _run("gateway", {"MONGODB_URI": "mongo://user:hunter2@host/db", "REDIS_URL": "redi://:hunter2@host"})
    assert ended.returncode == 2
    assert "MONGODB_URI" in ended.stderr
    assert "REDIS_URL" in ended.stderr
    assert "hunter2" not in ended.stderr


def _run(service: str, settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={"PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_the_example_file_lists_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == {name.upper() for settings in CLASSES for name in settings.model_fields}
