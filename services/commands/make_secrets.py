"""Generates the passwords of the stack, and for each service a folder with only those that it needs.

`python -m services.commands.make_secrets /secrets`. Existing passwords are kept: repeating it changes nothing, and a
password of your own is used if you put it into the file first. Compose mounts each folder into one service.

A password is replaced in three steps, between which `deploy/rotate` makes the databases and the processes follow:
`--add NAME` makes a second one, `--use NAME` gives it to the service, `--withdraw NAME` forgets the first. Each step
may be repeated.
"""

import argparse
import hashlib
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from services.commands.logins import Login, logins, text_of, users
from services.common.error_text import error_text
from services.common.stream_spec import DEFAULT_DATABASE

PASSWORDS = {
    "admin": "setup/admin_password",
    "watcher": "setup/watcher_password",
    "gateway": "setup/gateway_password",
    "grafana": "grafana/admin_password",
}

# Services with processes that hold a password: the old one and the new one must be valid at once.
SERVICES = ("watcher", "gateway")
# Grafana takes its password from the file at its first start only.
ROTATED = (*SERVICES, "admin")
OPERATOR = "operator"

# Readable for every user of the containers that mount the folder; each runs one service, under a user of its own.
_READABLE = 0o444


def main() -> int:
    """Create the missing files; print the names of new or changed files, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    step = parser.add_mutually_exclusive_group()
    for option, about in (
        ("--add", "make a second password, valid beside the first"),
        ("--use", "give the second password to the service"),
        ("--withdraw", "forget the first password"),
    ):
        step.add_argument(option, choices=ROTATED, metavar="NAME", help=about)
    options = parser.parse_args()
    try:
        for path in make(options.folder, add=options.add, use=options.use, withdraw=options.withdraw):
            print(f"Wrote {path}")
    except (OSError, ValueError) as error:
        print(f"The secrets cannot be made: {error_text(error)}", file=sys.stderr)
        return 1
    return 0


def make(root: Path, *, add: str | None = None, use: str | None = None, withdraw: str | None = None) -> list[Path]:
    """Create the folders below `root`; return the new or changed files. Raise OSError, ValueError.

    `add`, `use`, `withdraw`: the one whose rotation goes one step further.
    """
    known = {name: _known(name, root / path) for name, path in PASSWORDS.items()}
    if add is not None:
        known[add] = added(add, known[add])
    if withdraw is not None:
        known[withdraw] = known[withdraw][:1]
    # A second password is in use only from `use` on: before, the databases may not know it yet.
    used = {name: _used(root / name / "mongodb_uri", known[name]) for name in SERVICES}
    if use in SERVICES:
        used[use] = known[use][0]
    return [path for name, text in files(known, used).items() if _write(path := root / name, text)]


def added(name: str, known: Sequence[Login]) -> list[Login]:
    """Return the logins with a new one in front; if there are two, an interrupted rotation goes on with them."""
    if len(known) > 1:
        return list(known)
    one, other = users(name)
    user = name if name not in SERVICES else other if known[0].user == one else one
    return [Login(user, secrets.token_hex(24)), *known]


def files(known: Mapping[str, Sequence[Login]], used: Mapping[str, Login]) -> dict[str, str]:
    """Return the content of every file: `<service>/<name>`."""
    return {
        **{PASSWORDS[name]: text_of(name, of) for name, of in known.items()},
        "setup/mongodb_uri": _mongodb_uri(known["admin"][0]),
        **{f"{name}/mongodb_uri": _mongodb_uri(login) for name, login in used.items()},
        **{f"{name}/redis_url": _redis_url(login) for name, login in used.items()},
        "valkey/users.acl": valkey_users(*(text_of(name, known[name]) for name in ("watcher", "gateway", "admin"))),
    }


def valkey_users(watcher: str, gateway: str, admin: str | None = None) -> str:
    """Return Valkey's ACL file for these passwords, as `logins` parses them; it holds hashes only.

    Without a password, only PING is allowed. The watcher writes the log by scripts, which run with its rights; the
    gateways read it and subscribe, keep the tickets of clients and what they have used of their limits, and announce
    revocations. The user `operator` has the administrator's password: it sees figures and connections and has these
    users reloaded, but reads and writes no data.
    """
    keys, channel = "~{orders}:*", "&{orders}:events"
    writes = "+@connection +@read +@write -@dangerous +eval +evalsha +script|load +script|exists +publish +time +info"
    # Gateways listen to each other, but must not say what only watchers say.
    others = "&{orders}:revocations"
    reads = "+@connection +@read -@dangerous +@transaction +@pubsub -publish -spublish +time"
    looks = (
        "+ping +info +slowlog +latency +memory +client|list +client|info +client|id +dbsize +xlen +acl|load +acl|whoami"
    )
    writes_own = (
        "(~{orders}:ticket:* -@all +set +getdel) (~{orders}:limit:* -@all +set +incrby +pexpireat) "
        f"({others} -@all +publish)"
    )
    operator = [Login(OPERATOR, password) for _, password in logins("admin", admin)] if admin else []
    return "".join(
        [
            "user default reset on nopass -@all +ping\n",
            *_users(logins("watcher", watcher), f"{keys} {channel} -@all {writes}"),
            *_users(logins("gateway", gateway), f"%R{keys} {channel} {others} -@all {reads} {writes_own}"),
            *_users(operator, f"%R{keys} -@all {looks}"),
        ]
    )


def _users(known: Sequence[Login], rights: str) -> list[str]:
    passwords: dict[str, str] = {}
    for user, password in known:
        passwords[user] = f"{passwords.get(user, '')}#{_sha256(password)} "
    return [f"user {user} reset on {hashes}{rights}\n" for user, hashes in passwords.items()]


def _sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _mongodb_uri(login: Login) -> str:
    return f"mongodb://{login.user}:{login.password}@mongodb/{DEFAULT_DATABASE}?replicaSet=rs0&authSource=admin"


def _redis_url(login: Login) -> str:
    return f"redis://{login.user}:{login.password}@valkey:6379/0"


def _known(name: str, path: Path) -> list[Login]:
    """Return the existing logins, or a new one; passwords become part of URIs."""
    if not path.exists():
        return [Login(name, secrets.token_hex(24))]
    text = path.read_text("utf-8")
    known = logins(name, text) if text.strip() else []
    if not known or not all(login.password.isascii() and login.password.isalnum() for login in known):
        raise ValueError(f"{path} must hold letters and digits only, because it becomes part of URIs")
    return known


def _used(path: Path, known: Sequence[Login]) -> Login:
    """Return the login that the service was given, or the newest where that one is not valid any more."""
    user = urlsplit(path.read_text("utf-8")).username if path.exists() else None
    return next((login for login in known if login.user == user), known[0])


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
