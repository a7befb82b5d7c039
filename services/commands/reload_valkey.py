"""Makes a running Valkey read its file of users again: `python -m services.commands.reload_valkey`.

Users that are still in the file stay connected; those that are not are cut off.
"""

import sys
from collections.abc import Iterator

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from services.commands.logins import Login
from services.commands.make_secrets import OPERATOR
from services.commands.provision_mongodb import ADMIN, ProvisionSettings
from services.commands.steps import run_steps
from services.common.error_text import error_text

_PATIENCE = 10.0


class ReloadError(Exception):
    """Valkey does not know the users of its file; the message says why in one sentence."""


def main() -> int:
    """Reload the users; print what was done and return the exit code."""
    return run_steps(lambda: reload(ProvisionSettings()), ReloadError)


def reload(settings: ProvisionSettings) -> Iterator[str]:
    """Reload the users and say so; raise ReloadError."""
    address = settings.valkey_address
    try:
        # In the middle of a rotation Valkey may know the newest password already, or only the one before.
        if not any(_load(address, login) for login in settings.logins(ADMIN)):
            raise ReloadError(f"Valkey at {address} knows no user operator with ADMIN_PASSWORD yet: restart it once.")
    except RedisError as error:
        raise ReloadError(f"Valkey at {address} did not read its users again: {error_text(error)}") from error
    yield f"Valkey at {address} has read its users again"


def _load(address: str, login: Login) -> bool:
    """Return whether Valkey let us in."""
    host, _, port = address.rpartition(":")
    with Redis(
        host=host,
        port=int(port),
        username=OPERATOR,
        password=login.password,
        socket_connect_timeout=_PATIENCE,
        socket_timeout=_PATIENCE,
    ) as valkey:
        try:
            valkey.execute_command("ACL", "LOAD")
        except (AuthenticationError, NoPermissionError):
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
