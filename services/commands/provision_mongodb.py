"""Turns a fresh mongod into a replica set of one, with a least-privilege user for each service.

`python -m services.commands.provision_mongodb`, on the machine (or in the network namespace) of that mongod: as long as
it has no user, it accepts such commands only from localhost. Repeating it only updates users, passwords and rights.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from services.commands.logins import Login, logins, users
from services.commands.steps import run_steps
from services.common.error_text import error_text
from services.common.secret_files import SECRET, SettingsWithSecrets
from services.common.stream_spec import DEFAULT_DATABASE, ORDERS
from services.mongodb.faults import explain

ADMIN = "admin"
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18

Client = MongoClient[dict[str, Any]]


class ProvisionSettings(SettingsWithSecrets):
    """The settings for provisioning a mongod, from the environment and from `.env`."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    admin_password: SecretStr = Field(
        default=SecretStr("admin"),
        description="Password of the user admin in MongoDB and operator in Valkey, for the set-up and for operators; "
        "compose makes a random one. After a comma, the one that it replaces.",
        json_schema_extra=SECRET,
    )
    watcher_password: SecretStr = Field(
        default=SecretStr("watcher"),
        description="The watcher's password in MongoDB; compose makes a random one. After a comma, an earlier one that "
        "stays valid, with another user: `watcher-2:new,old`.",
        json_schema_extra=SECRET,
    )
    gateway_password: SecretStr = Field(
        default=SecretStr("gateway"),
        description="The gateways' password in MongoDB; compose makes a random one. After a comma, an earlier one that "
        "stays valid, with another user: `gateway-2:new,old`.",
        json_schema_extra=SECRET,
    )
    mongodb_member: str = Field(
        default="localhost:27017", description="Address at which all services reach the mongod."
    )
    mongodb_local_port: int = Field(default=27017, description="The mongod's port on localhost.")
    mongodb_database: str = Field(default=DEFAULT_DATABASE, description="The database of the orders.")
    valkey_address: str = Field(
        default="localhost:6379", description="Address of the Valkey server that must reload its users."
    )

    @field_validator("admin_password", "watcher_password", "gateway_password")
    @classmethod
    def _can_be_parsed(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        _logins(str(info.field_name), value)
        return value

    def logins(self, name: str) -> list[Login]:
        """Return the logins of `admin`, `watcher` or `gateway`, the newest first."""
        return _logins(f"{name}_password", getattr(self, f"{name}_password"))


def _logins(field: str, value: SecretStr) -> list[Login]:
    return logins(field.removesuffix("_password"), value.get_secret_value())


class ProvisionError(Exception):
    """The mongod cannot be provisioned; the message says why in one sentence."""


def main() -> int:
    """Provision the mongod; print a line for each step and return the exit code."""
    return run_steps(lambda: provision(ProvisionSettings()), ProvisionError)


def provision(settings: ProvisionSettings, patience: float = 30.0) -> Iterator[str]:
    """Run the steps in order and describe each result; raise ProvisionError."""
    address = f"mongodb://localhost:{settings.mongodb_local_port}/?directConnection=true"
    admin = settings.logins(ADMIN)
    timeout = int(patience * 1000)
    try:
        anonymous: Client = MongoClient(address, serverSelectionTimeoutMS=timeout)
        with anonymous:
            yield _make_replica_set(anonymous, settings.mongodb_member, patience)
            yield _create_admin(anonymous, admin[0].password)
        known = _known_password(address, admin, timeout)
        client: Client = MongoClient(address, username=ADMIN, password=known, serverSelectionTimeoutMS=timeout)
        with client:
            if known != admin[0].password:
                client.admin.command("updateUser", ADMIN, pwd=admin[0].password)
                yield "Replaced the password of the user admin"
            database = settings.mongodb_database
            for name, rights in (("watcher", watcher_rights(database)), ("gateway", gateway_rights(database))):
                yield from _grant(client, name, settings.logins(name), rights)
    except OperationFailure as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise ProvisionError(
                "ADMIN_PASSWORD is not the password that this MongoDB was provisioned with."
            ) from error
        raise ProvisionError(f"MongoDB refused a step: {error_text(error)}") from error
    except PyMongoError as error:
        raise ProvisionError(f"No MongoDB answers at {address}: {explain(error_text(error))}") from error


def watcher_rights(database: str) -> list[Mapping[str, Any]]:
    """Return the watcher's rights: to read the database's changes, and to keep its own state."""
    return [
        _on(database, "", "find", "changeStream", "listCollections"),
        _on(database, "stream_state", "find", "insert", "update"),
        # Which deployment this is, and how far its oplog reaches back.
        {"resource": {"cluster": True}, "actions": ["replSetGetConfig"]},
        _on("local", "oplog.rs", "find", "collStats"),
    ]


def gateway_rights(database: str) -> list[Mapping[str, Any]]:
    """Return a gateway's rights: to read and write orders, and to replay changes to clients that reconnect late."""
    return [
        _on(database, ORDERS.collection, "find", "insert", "update", "remove", "listIndexes"),
        _on(database, "gateway_secrets", "find", "insert"),
        _on(database, "idempotency_keys", "find", "insert", "update"),
        _on(database, "revocations", "find", "insert", "update"),
        _on(database, "", "changeStream", "find", "listCollections"),
        {"resource": {"cluster": True}, "actions": ["replSetGetConfig"]},
    ]


def _on(database: str, collection: str, *actions: str) -> Mapping[str, Any]:
    return {"resource": {"db": database, "collection": collection}, "actions": list(actions)}


def _make_replica_set(client: Client, member: str, patience: float) -> str:
    done = "MongoDB is a replica set already"
    if "setName" not in client.admin.command("hello"):
        members = [{"_id": 0, "host": member}]
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        done = f"Initiated the replica set rs0 with the member {member}"
    until = time.monotonic() + patience
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > until:
            raise ProvisionError(f"MongoDB does not become primary: can it reach itself as {member}?")
        time.sleep(0.1)  # an election of one takes a moment, and nothing announces its end
    return done


def _create_admin(client: Client, password: str) -> str:
    try:
        client.admin.command("createUser", ADMIN, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED:  # localhost needs no authentication only until there is a user
            return "The user admin exists already"
        raise
    return "Created the user admin"


def _known_password(address: str, admin: Sequence[Login], timeout: int) -> str:
    """Return the newest password that MongoDB accepts: an interrupted rotation leaves two of which it knows one."""
    for _, password in admin[:-1]:
        client: Client = MongoClient(address, username=ADMIN, password=password, serverSelectionTimeoutMS=timeout)
        with client:
            try:
                client.admin.command("ping")
            except OperationFailure as error:
                if error.code != _AUTHENTICATION_FAILED:
                    raise
            else:
                return password
    return admin[-1].password


def _grant(client: Client, name: str, known: Sequence[Login], rights: list[Mapping[str, Any]]) -> Iterator[str]:
    """Give the users of a service exactly these rights, by a role of its name; drop the user that is not listed."""
    role = client.admin.command("rolesInfo", name)["roles"]
    client.admin.command("updateRole" if role else "createRole", name, privileges=rights, roles=[])
    passwords = dict(known)
    for user in users(name):
        there = client.admin.command("usersInfo", user)["users"]
        if user in passwords:
            command = "updateUser" if there else "createUser"
            client.admin.command(command, user, pwd=passwords[user], roles=[name])
            yield f"{'Updated' if there else 'Created'} the user {user}"
        elif there:
            client.admin.command("dropUser", user)
            yield f"Dropped the user {user}"


if __name__ == "__main__":
    sys.exit(main())
