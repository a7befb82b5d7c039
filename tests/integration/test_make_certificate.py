"""The load balancer's certificate for trying TLS."""

import ssl
from pathlib import Path

import pytest

from services.commands.make_certificate import main, subject_names

TLS = {"TLS": "self-signed", "ALLOWED_HOSTS": "shop.example, *.shop.example,*,localhost"}


def test_names_are_those_of_this_machine_and_of_allowed_hosts() -> None:
    assert subject_names(TLS["ALLOWED_HOSTS"])[3:] == ["DNS:shop.example", "DNS:*.shop.example"]


def test_a_server_can_use_it_and_it_is_made_again_only_for_new_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "loadbalancer" / "certificate.pem"
    assert main([str(path)], TLS) == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    first = path.read_bytes()
    assert main([str(path)], TLS) == 0
    assert path.read_bytes() == first
    assert main([str(path)], {**TLS, "ALLOWED_HOSTS": "other.example"}) == 0
    assert path.read_bytes() != first
    assert [file.name for file in path.parent.iterdir()] == ["certificate.pem"]
    assert capsys.readouterr().out == f"Wrote {path}\n" * 2


def test_without_the_setting_nothing_is_made_and_a_wrong_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    assert main([str(path)], {}) == 0
    assert not path.exists()
    assert main([str(path)], {"TLS": "yes"}) == 2
