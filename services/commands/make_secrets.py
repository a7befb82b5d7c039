"""Makes the passwords of the stack, and for each service a folder with those that it needs and no others.

`python -m services.commands.make_secrets /secrets`. A password that is there stays: repeating it changes nothing, and
one of your own is used where it stands in the file before. Compose gives each folder to one service as a volume.
"""

import hashlib
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

PASSWORDS = {
    "admin": "setup/admin_password",
    "watcher": "setup/watcher_password",
    "gateway": "setup/gateway_password",
    "grafana": "grafana/admin_password",
}

# Readable for all within the containers that have the folder; each of these runs one service, under a user of its own.
_READABLE = 0o444


def main() -> int:
    """Make what is missing; print the names of the files that are new or changed, and return the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    try:
        for path in make(root):
            print(f"Wrote {path}")
    except (OSError, ValueError) as error:
        print(f"The secrets cannot be made: {error}", file=sys.stderr)
        return 1
    return 0


def make(root: Path) -> list[Path]:
    """Make the folders below `root`; return the files that are new or changed. Raise OSError, ValueError."""
    passwords = {user: _password(root / name) for user, name in PASSWORDS.items()}
    return [path for name, text in files(passwords).items() if _write(path := root / name, text)]


def files(passwords: Mapping[str, str]) -> dict[str, str]:
    """Return the content of every file: `<service>/<name>`."""
    watcher, gateway = passwords["watcher"], passwords["gateway"]
    return {
        **{PASSWORDS[user]: password for user, password in passwords.items()},
        "setup/mongodb_uri": _mongodb_uri("admin", passwords["admin"]),
        "watcher/mongodb_uri": _mongodb_uri("watcher", watcher),
        "watcher/redis_url": _redis_url("watcher", watcher),
        "gateway/mongodb_uri": _mongodb_uri("gateway", gateway),
        "gateway/redis_url": _redis_url("gateway", gateway),
        "valkey/users.acl": valkey_users(watcher, gateway),
    }


def valkey_users(watcher: str, gateway: str) -> str:
    """Return Valkey's ACL file; it holds hashes only.

    Without a password one may only ask whether the server lives. The watcher writes the log, by scripts, which act
    with its rights; the gateways read it and listen.
    """
    keys, channel = "~{orders}:*", "&{orders}:events"
    writes = "+@connection +@read +@write -@dangerous +eval +evalsha +script|load +script|exists +publish +time"
    reads = "+@connection +@read -@dangerous +@transaction +@pubsub -publish -spublish +time"
    return (
        "user default reset on nopass -@all +ping\n"
        f"user watcher reset on #{_sha256(watcher)} {keys} {channel} -@all {writes}\n"
        f"user gateway reset on #{_sha256(gateway)} %R{keys} {channel} -@all {reads}\n"
    )


def _sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _mongodb_uri(user: str, password: str) -> str:
    return f"mongodb://{user}:{password}@mongodb/realtime_orders?replicaSet=rs0&authSource=admin"


def _redis_url(user: str, password: str) -> str:
    return f"redis://{user}:{password}@valkey:6379/0"


def _password(path: Path) -> str:
    """Return the password that is there, or a new one; it becomes a part of addresses."""
    if not path.exists():
        return secrets.token_hex(24)
    known = path.read_text("utf-8").strip()
    if not (known.isascii() and known.isalnum()):
        raise ValueError(f"{path} must hold letters and digits only, because it becomes a part of addresses")
    return known


def _write(path: Path, text: str) -> bool:
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a start that is cut off must not leave half a password.
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    part.write_text(text, "utf-8")
    part.chmod(_READABLE)
    part.replace(path)
    return True


if __name__ == "__main__":
    sys.exit(main())
