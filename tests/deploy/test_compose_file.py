"""compose.yaml: every service is given the settings that are its own, by name, and a password in a file only."""

import re

import pytest
from pydantic_settings import BaseSettings

import services
from services.common.secret_files import secret_fields
from services.gateway.settings import GatewaySettings
from services.watcher.settings import WatcherSettings
from tests.deploy.audience import ROOT

TEXT = (ROOT / "compose.yaml").read_text("utf-8")
# Where the image keeps things is the image's affair; the secret is in MongoDB.
ELSEWHERE = {"web_dir", "library_dir", "client_dir", "recovery_secret"}


def section(service: str) -> str:
    found = re.search(rf"^  {service}:\n(.*?)^(?=  \w|\w)", TEXT, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize(("service", "settings"), [("watcher", WatcherSettings), ("gateway", GatewaySettings)])
def test_every_setting_of_a_service_reaches_it_from_the_dotenv_file(service: str, settings: type[BaseSettings]) -> None:
    named = set(re.findall(r"^      ([A-Z][A-Z0-9_]*):", section(service), re.MULTILINE))
    secret = {"mongodb_uri", "redis_url", "jwt_secret", "jwt_public_key", "oidc_client_secret"}
    wanted = {f"{name}_file" if name in secret else name for name in settings.model_fields if name not in ELSEWHERE}
    assert named == {name.upper() for name in wanted}


def test_no_service_is_handed_the_dotenv_file_or_a_password() -> None:
    code = re.sub(r"#.*", "", TEXT)
    assert "env_file" not in code
    assert not re.search(r"PASSWORD: |\$\{\w*PASSWORD|://[^\s@]*:[^\s@]*@", code)
    for settings in (WatcherSettings, GatewaySettings):
        for name in secret_fields(settings):
            assert f"{name.upper()}:" not in code


@pytest.mark.parametrize("service", ["setup", "watcher", "gateway", "valkey", "grafana", "loadbalancer"])
def test_each_service_sees_its_own_secrets_only_and_cannot_change_them(service: str) -> None:
    mounted = re.findall(r"secrets-(\w+):(\S+?)[\s\]]", section(service))
    assert mounted == [(service, "/run/secrets:ro")]


def test_the_images_tag_is_the_version_of_this_checkout() -> None:
    assert set(re.findall(r"\$\{ORDERS_VERSION:-([^}]*)\}", TEXT)) == {services.__version__}


@pytest.mark.parametrize(("service", "default"), [("gateway", 1), ("watcher", 2)])
def test_the_number_of_processes_is_in_the_dotenv_file_so_that_every_up_keeps_it(service: str, default: int) -> None:
    assert f"replicas: ${{{service.upper()}_REPLICAS:-{default}}}" in section(service)
