"""Generates the passwords of the stack, and for each service a folder with only those that it needs.

`python -m services.commands.make_secrets /secrets`. Existing passwords are kept: repeating it changes nothing, and a
password of your own is used if you put it into the file first. Compose mounts each folder into one service.
"""

import hashlib
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from services.common.error_text import error_text

PASSWORDS = {
    "admin": "setup/admin_password",
    "watcher": "setup/watcher_password",
    "gateway": "setup/gateway_password",
    "grafana": "grafana/admin_password",
}

# Readable for every user of the containers that mount the folder; each runs one service, under a user of its own.
_READABLE = 0o444


def main() -> int:
    """Create the missing files; print the names of new or changed files, and return the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    try:
        for path in make(root):
            print(f"Wrote {path}")
    except (OSError, ValueError) as error:
        print(f"The secrets cannot be made: {error_text(error)}", file=sys.stderr)
        return 1
    return 0


def make(root: Path) -> list[Path]:
    """Create the folders below `root`; return the new or changed files. Raise OSError, ValueError."""
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
        "valkey/users.acl": valkey_users(watcher, gateway, passwords["admin"]),
    }


def valkey_users(watcher: str, gateway: str, admin: str | None = None) -> str:
    """Return Valkey's ACL file; it holds hashes only.

    Without a password, only PING is allowed. The watcher writes the log by scripts, which run with its rights; the
    gateways read it and subscribe, and keep the tickets of clients. The user `operator` has the administrator's
    password: it sees figures and connections and has these users reloaded, but reads and writes no data.
    """
    keys, channel = "~{orders}:*", "&{orders}:events"
    writes = "+@connection +@read +@write -@dangerous +eval +evalsha +script|load +script|exists +publish +time +info"
    reads = "+@connection +@read -@dangerous +@transaction +@pubsub -publish -spublish +time"
    looks = (
        "+ping +info +slowlog +latency +memory +client|list +client|info +client|id +dbsize +xlen +acl|load +acl|whoami"
    )
    operator = f"user operator reset on #{_sha256(admin)} %R{keys} -@all {looks}\n" if admin else ""
    tickets = "(~{orders}:ticket:* -@all +set +getdel)"
    return (
        "user default reset on nopass -@all +ping\n"
        f"user watcher reset on #{_sha256(watcher)} {keys} {channel} -@all {writes}\n"
        f"user gateway reset on #{_sha256(gateway)} %R{keys} {channel} -@all {reads} {tickets}\n"
        f"{operator}"
    )


def _sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _mongodb_uri(user: str, password: str) -> str:
    return f"mongodb://{user}:{password}@mongodb/realtime_orders?replicaSet=rs0&authSource=admin"


def _redis_url(user: str, password: str) -> str:
    return f"redis://{user}:{password}@valkey:6379/0"


def _password(path: Path) -> str:
    """Return the existing password, or a new one; it becomes part of URIs."""
    if not path.exists():
        return secrets.token_hex(24)
    known = path.read_text("utf-8").strip()
    if not (known.isascii() and known.isalnum()):
        raise ValueError(f"{path} must hold letters and digits only, because it becomes part of URIs")
    return known


def _write(path: Path, text: str) -> bool:
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # Atomically: an interrupted run must not leave half a password.
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    part.write_text(text, "utf-8")
    part.chmod(_READABLE)
    part.replace(path)
    return True


if __name__ == "__main__":
    sys.exit(main())
