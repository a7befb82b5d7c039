"""Settings with which a gateway would be open by mistake stop it at its start."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from services.common.auth import Auth
from services.common.settings import WrongSetting
from services.common.tasks import Tasks
from services.embedded.settings import EmbeddedSettings
from services.gateway.access import open_access
from services.gateway.settings import GatewaySettings
from tests.access.test_doors import pem
from tests.access.tokens import SECRET

JWKS = {"jwt_jwks": "https://issuer.example/keys", "jwt_issuer": "https://issuer.example", "jwt_audience": "orders"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.0.0.1,localhost", "127.1.2.3"])
def test_on_loopback_no_tokens_are_needed(host: str) -> None:
    assert GatewaySettings(host=host).auth is Auth.NONE
    assert EmbeddedSettings(host=host).auth is Auth.NONE


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "localhost,192.0.2.1", "gateway.example"])
def test_elsewhere_their_absence_is_refused_unless_it_is_wanted(host: str) -> None:
    for settings in (GatewaySettings, EmbeddedSettings):
        for more in ({}, {"auth_none_on_public": "no"}):
            with pytest.raises(
                ValidationError, match=r"every order; set AUTH=jwt, a HOST .*AUTH_NONE_ON_PUBLIC=yes"
            ) as raised:
                settings.model_validate({"host": host, **more})
            assert raised.value.errors()[0]["loc"] == ("auth",)
        assert settings.model_validate({"host": host, "auth_none_on_public": "yes"}).auth is Auth.NONE
    assert GatewaySettings(host=host, auth="jwt", jwt_secret=SECRET).auth is Auth.JWT


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"jwt_secret": SECRET, "jwt_public_key": "PEM"},
        {"jwt_secret": SECRET, **JWKS},
        {"jwt_public_key": "PEM", **JWKS},
        {"jwt_secret": "too short"},
        {"jwt_secret": f"{SECRET},too short"},
        {**JWKS, "jwt_issuer": ""},
        {**JWKS, "jwt_audience": ""},
        {**JWKS, "jwt_jwks": "file:///etc/passwd"},
        {"jwt_secret": SECRET, "jwt_rights_claim": ""},
        {"jwt_secret": SECRET, "jwt_without_rights": "some"},
        {"jwt_secret": SECRET, "jwt_leeway_seconds": "3000"},
    ],
)
def test_jwt_needs_one_way_to_verify_tokens(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({"auth": "jwt", **wrong})


def test_an_unknown_kind_of_authentication_is_not_none() -> None:
    for auth in ("", "off", "None", "oidc"):
        with pytest.raises(ValidationError):
            GatewaySettings.model_validate({"auth": auth})


@pytest.mark.parametrize("key", ["hostile", pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))])
async def test_a_key_that_is_of_no_use_stops_the_start(key: str) -> None:
    settings = GatewaySettings(auth=Auth.JWT, jwt_public_key=key)
    async with Tasks() as tasks:
        with pytest.raises(WrongSetting, match="JWT_PUBLIC_KEY: "):
            async with open_access(settings, lambda _: None, tasks):
                pass


async def test_a_key_may_be_one_line_of_a_dotenv_file() -> None:
    key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)).replace("\n", "\\n")
    async with (
        Tasks() as tasks,
        open_access(GatewaySettings(auth=Auth.JWT, jwt_public_key=key), print, tasks) as access,
    ):
        assert access is not None
