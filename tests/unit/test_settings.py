"""Settings come from the environment; a wrong one stops the process and is named; `.env.example` lists them all."""

import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from services.commands.provision_mongodb import ProvisionSettings
from services.common.secret_files import WrongSetting, hosts_of, secret_fields
from services.common.settings import CommonSettings
from services.embedded.settings import EmbeddedSettings
from services.gateway.access_settings import secrets_in
from services.gateway.settings import GatewaySettings
from services.redis.client import redis_client
from services.watcher.settings import WatcherSettings
from tests.forked_process import run_forked
from tests.waiting import HANGS

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
            monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
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


def test_the_recovery_secret_owes_nothing_to_the_database_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert secrets_in(GatewaySettings().recovery_secret) == []
    newer, older = "n" * 32, "o" * 32
    monkeypatch.setenv("RECOVERY_SECRET", f"{newer}, {older}")
    settings = GatewaySettings()
    assert secrets_in(settings.recovery_secret) == [newer, older]
    assert newer not in repr(settings)


def test_a_replica_without_a_name_takes_one_that_says_nothing() -> None:
    one, other = GatewaySettings().server_name, GatewaySettings().server_name
    assert one
    assert one != other
    assert socket.gethostname() not in {one, other}
    assert GatewaySettings(server_name="b").server_name == "b"
    assert GatewaySettings(server_name="@hostname").server_name == socket.gethostname()


def test_everything_listens_on_loopback_unless_told_otherwise() -> None:
    gateway, watcher, stack = GatewaySettings(), WatcherSettings(), EmbeddedSettings()
    assert {gateway.host, stack.host} == {"localhost"}
    assert {gateway.admin_host, watcher.watcher_host} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (CommonSettings, "MONGODB_URI", "mongodb://u:p@host/orders"),
        (CommonSettings, "REDIS_URL", "redis://:p@host/0"),
        (GatewaySettings, "RECOVERY_SECRET", "s" * 40),
        (EmbeddedSettings, "MONGODB_URI", "mongodb://u:p@host/orders"),
        (ProvisionSettings, "ADMIN_PASSWORD", "p"),
        (ProvisionSettings, "WATCHER_PASSWORD", "p"),
        (ProvisionSettings, "GATEWAY_PASSWORD", "p"),
    ],
)
def test_a_secret_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, settings: type[BaseSettings], name: str, value: str
) -> None:
    Path("secret").write_text(f"{value}\n")
    monkeypatch.setenv(f"{name}_FILE", "secret")
    given = getattr(settings(), name.lower())
    assert (given.get_secret_value() if isinstance(given, SecretStr) else given) == value
    monkeypatch.delenv(f"{name}_FILE")
    Path(".env").write_text(f"{name}_FILE=secret\n")
    assert getattr(settings(), name.lower()) == given


def test_every_setting_that_holds_a_password_or_a_key_may_stand_in_a_file() -> None:
    secret = re.compile("password|secret|uri|url|public_key")
    for settings in CLASSES:
        assert secret_fields(settings) == [name for name in settings.model_fields if secret.search(name)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"a" * 99_999, "is too large"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        Path("secret").write_bytes(content)
    monkeypatch.setenv("MONGODB_URI_FILE", "secret")
    with pytest.raises(WrongSetting, match=f"^MONGODB_URI_FILE: secret .*{complaint}"):
        CommonSettings()


def test_a_value_and_a_file_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text("mongodb://host/orders")
    monkeypatch.setenv("MONGODB_URI_FILE", "secret")
    monkeypatch.setenv("MONGODB_URI", "mongodb://other/orders")
    with pytest.raises(WrongSetting, match=r"^MONGODB_URI_FILE: MONGODB_URI is set, too: set only one of them"):
        CommonSettings()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (CommonSettings, "MONGODB_URI", "localhost:27017"),
        (CommonSettings, "MONGODB_URI", ""),
        (CommonSettings, "REDIS_URL", "http://localhost"),
        (CommonSettings, "LOG_LEVEL", "LOUD"),
        (CommonSettings, "LOG_FORMAT", "xml"),
        (CommonSettings, "VISIBLE_FIELDS", ""),
        (CommonSettings, "VISIBLE_FIELDS", " , "),
        (CommonSettings, "VISIBLE_FIELDS", "status,*"),
        (WatcherSettings, "VISIBLE_FIELDS", "status,customer.card"),
        (GatewaySettings, "VISIBLE_FIELDS", "status,$where"),
        (GatewaySettings, "PORT", "70000"),
        (GatewaySettings, "PORT", "http"),
        (GatewaySettings, "ADMIN_PORT", "70000"),
        (GatewaySettings, "ALLOWED_HOSTS", "shop.example,https://shop.example"),
        (GatewaySettings, "ALLOWED_HOSTS", "shop.example:443"),
        (GatewaySettings, "SERVER_NAME", "@host"),
        (GatewaySettings, "RECOVERY_SECRET", "too short"),
        (GatewaySettings, "RECOVERY_SECRET", "s" * 32 + ",too short"),
        (GatewaySettings, "TRUSTED_PROXIES", "10.0.0.300"),
        (GatewaySettings, "PING_TIMEOUT_SECONDS", "0"),
        (GatewaySettings, "PING_TIMEOUT_SECONDS", "nan"),
        (GatewaySettings, "MAX_PAYLOAD_BYTES", "10"),
        (GatewaySettings, "MAX_PACKETS_PER_SECOND", "0"),
        (GatewaySettings, "RING_EVENTS", "1.5"),
        (GatewaySettings, "LIMIT_READS", "600"),
        (GatewaySettings, "LIMIT_EXPENSIVE", "0/60"),
        (GatewaySettings, "LIMIT_HANDSHAKES", ""),
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


async def test_a_wrong_secret_does_not_give_itself_away(tmp_path: Path) -> None:
    wrong = {
        "MONGODB_URI": "mongo://user:hunter2@host/db",
        "REDIS_URL": "redi://:hunter2/@host",
        "RECOVERY_SECRET": "hunter2",
    }
    ended = await run_forked("services.gateway", cwd=tmp_path, environment=wrong, seconds=HANGS)
    assert ended.code == 2
    assert "MONGODB_URI" in ended.output
    assert "REDIS_URL" in ended.output
    assert "RECOVERY_SECRET" in ended.output
    assert "hunter2" not in ended.output


@pytest.mark.parametrize("program", ["gateway", "watcher", "commands.setup_db", "commands.demo_write", "commands.demo"])
async def test_a_password_that_is_not_percent_encoded_does_not_give_itself_away(program: str, tmp_path: Path) -> None:
    wrong = {"MONGODB_URI": "mongodb://me:hun/ter2@host/db", "REDIS_URL": "redis://host:1/0"}
    ended = await run_forked(f"services.{program}", cwd=tmp_path, environment=wrong, seconds=HANGS)
    assert ended.code != 0
    assert "MONGODB_URI: write / ? # and @ in a user or password as %2F" in ended.output
    assert not re.search("me:|hun|ter2|Traceback", ended.output)


@pytest.mark.parametrize("password", ["hunter2/x", "hun/ter2", "hunter2?x", "hunter2#x"])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
def test_the_same_holds_for_redis(scheme: str, password: str) -> None:
    with pytest.raises(WrongSetting, match=r"^REDIS_URL: write /") as raised:
        redis_client(f"{scheme}://user:{password}@host:1/0", "{orders}:log")
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("mongodb://a:1,b:2/db?x=1", "a:1,b:2"),
        ("mongodb://u:p%2Fq@a:1/db", "a:1"),
        ("mongodb://u:p@q@a:1", "a:1"),
        ("mongodb://u:p/q@a:1/db", "an address that cannot be read"),
        ("mongodb://u:1/q@a:1/db", "an address that cannot be read"),
        ("mongodb://u:p?q@a:1/db", "an address that cannot be read"),
    ],
)
def test_a_message_names_the_hosts_of_a_uri_only(uri: str, hosts: str) -> None:
    assert hosts_of(uri) == hosts


def test_a_service_whose_secret_file_is_missing_says_so_and_does_not_start() -> None:
    ended = _run("watcher", {"REDIS_URL_FILE": "/nowhere"})
    assert (ended.returncode, ended.stderr) == (
        2,
        "watcher: REDIS_URL_FILE: /nowhere cannot be read: No such file or directory\n",
    )


def _run(service: str, settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={"PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


def test_the_example_file_lists_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == {name.upper() for settings in CLASSES for name in settings.model_fields}
