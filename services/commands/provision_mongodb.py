"""Turns a fresh mongod into a replica set of one, with a least-privilege user for each service.

`python -m services.commands.provision_mongodb`, on the machine (or in the network namespace) of that mongod: as long as
it has no user, it accepts such commands only from localhost. Repeating it only updates passwords and rights.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from services.common.error_text import error_text
from services.common.secret_files import SECRET, SettingsWithSecrets, WrongSetting
from services.mongodb.faults import explain

ADMIN = "admin"
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18

Client = MongoClient[dict[str, Any]]


class ProvisionSettings(SettingsWithSecrets):
    """The settings for provisioning a mongod, from the environment and from `.env`."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    admin_password: SecretStr = Field(
        default=SecretStr("admin"),
        description="Password of MongoDB's user admin, for the set-up only; compose makes a random one.",
        json_schema_extra=SECRET,
    )
    watcher_password: SecretStr = Field(
        default=SecretStr("watcher"),
        description="The watcher's password in MongoDB; compose makes a random one.",
        json_schema_extra=SECRET,
    )
    gateway_password: SecretStr = Field(
        default=SecretStr("gateway"),
        description="The gateways' password in MongoDB; compose makes a random one.",
        json_schema_extra=SECRET,
    )
    mongodb_member: str = Field(
        default="localhost:27017", description="Address at which all services reach the mongod."
    )
    mongodb_local_port: int = Field(default=27017, description="The mongod's port on localhost.")
    mongodb_database: str = Field(default="realtime_orders", description="The database of the orders.")


class ProvisionError(Exception):
    """The mongod cannot be provisioned; the message says why in one sentence."""


def main() -> int:
    """Provision the mongod; print a line for each step and return the exit code."""
    try:
        for step in provision(ProvisionSettings()):
            print(step, flush=True)
    except (ProvisionError, ValidationError, WrongSetting) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def provision(settings: ProvisionSettings, patience: float = 30.0) -> Iterator[str]:
    """Run the steps in order and describe each result; raise ProvisionError."""
    address = f"mongodb://localhost:{settings.mongodb_local_port}/?directConnection=true"
    password = settings.admin_password.get_secret_value()
    timeout = int(patience * 1000)
    try:
        anonymous: Client = MongoClient(address, serverSelectionTimeoutMS=timeout)
        with anonymous:
            yield _make_replica_set(anonymous, settings.mongodb_member, patience)
            yield _create_admin(anonymous, password)
        client: Client = MongoClient(address, username=ADMIN, password=password, serverSelectionTimeoutMS=timeout)
        with client:
            database = settings.mongodb_database
            yield _grant(client, "watcher", settings.watcher_password, watcher_rights(database))
            yield _grant(client, "gateway", settings.gateway_password, gateway_rights(database))
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
        _on(database, "orders", "find", "insert", "update", "remove"),
        _on(database, "gateway_secrets", "find", "insert"),
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


def _grant(client: Client, name: str, password: SecretStr, rights: list[Mapping[str, Any]]) -> str:
    """Grant the user exactly these rights, by a role of the same name."""
    known_role = client.admin.command("rolesInfo", name)["roles"]
    client.admin.command("updateRole" if known_role else "createRole", name, privileges=rights, roles=[])
    known = client.admin.command("usersInfo", name)["users"]
    command = "updateUser" if known else "createUser"
    client.admin.command(command, name, pwd=password.get_secret_value(), roles=[name])
    return f"{'Updated' if known else 'Created'} the user {name}"


if __name__ == "__main__":
    sys.exit(main())
