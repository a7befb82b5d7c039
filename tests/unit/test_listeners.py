"""The addresses that a HOST names, as sockets: both of localhost, several, and those that a machine does not have."""

import pytest

from services.common.authority import listens_locally
from services.front.listeners import listening_sockets


async def addresses(setting: str) -> list[str]:
    sockets = await listening_sockets(setting, 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1  # one port for all
        return [one.getsockname()[0] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize(
    ("setting", "listened", "local"),
    [
        ("127.0.0.1", ["127.0.0.1"], True),
        ("::1", ["::1"], True),
        ("[::1]", ["::1"], True),
        ("localhost", ["127.0.0.1", "::1"], True),
        ("LOCALHOST,127.0.0.1", ["127.0.0.1", "::1"], True),
        ("127.0.0.2, ::1", ["127.0.0.2", "::1"], True),
        ("0.0.0.0,::", ["0.0.0.0", "::"], False),
        ("::", ["::"], False),
        # A documentation address (RFC 3849), which no machine has: one without IPv6 goes on without it, too.
        ("127.0.0.1,2001:db8::1", ["127.0.0.1"], False),
    ],
)
async def test_a_setting_names_its_addresses(setting: str, listened: list[str], local: bool) -> None:
    assert listens_locally(setting) is local
    assert await addresses(setting) == listened


async def test_no_address_means_all_and_is_not_local() -> None:
    assert set(await addresses("")) == {"0.0.0.0", "::"}
    assert not listens_locally("")


async def test_an_address_that_this_machine_lacks_is_an_error_where_there_is_no_other() -> None:
    for setting in ("2001:db8::1", "192.0.2.1,127.0.0.1"):
        with pytest.raises(OSError, match="annot assign requested address"):
            await listening_sockets(setting, 0)
