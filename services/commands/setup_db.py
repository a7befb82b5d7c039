"""Prepares the database for the services: `python -m services.commands.setup_db`; repeating it changes nothing.

With `--samples`, an empty collection gets sample orders. With `--rotate-secret`, the gateways get a new secret for the
ids of Socket.IO sessions; ids signed with the previous one stay valid. `--announce-secret`, a minute before, lets all
gateways know the new one before the first of them signs with it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
from pymongo import DESCENDING, IndexModel, WriteConcern
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from services.commands.steps import run_steps
from services.commands.target import find_target, mongo_client
from services.common.error_text import error_text
from services.common.secret_document import COLLECTION as SECRETS
from services.common.secret_document import RECOVERY, announced, new_secret, rotated
from services.common.settings import WrongSetting
from services.common.stream_spec import ORDERS
from services.mongodb.collection_kind import unfit
from services.mongodb.faults import explain

COLLECTION = ORDERS.collection
DEFAULT_DATABASE = "realtime_orders"
# A server that starts together with us needs some seconds; one that is missing needs a person.
PATIENCE = 30.0

# A list is sorted by _id, newest first; each filter therefore needs its field and then _id. A list filtered by both
# uses the customer's index: few orders remain to be scanned.
INDEXES = [
    IndexModel([("status", 1), ("_id", DESCENDING)], name="status_newest_first"),
    IndexModel([("customer_name", 1), ("_id", DESCENDING)], name="customer_newest_first"),
]

# Other programs write orders too, and theirs are shown as they are: the validator only warns in the server's log.
VALIDATOR = {
    "$jsonSchema": {
        "title": "Order of Real-time Orders",
        "bsonType": "object",
        "required": ["customer_name", "product_name", "status", "updated_at"],
        "properties": {
            "customer_name": {"bsonType": "string", "minLength": 1, "maxLength": 200},
            "product_name": {"bsonType": "string", "minLength": 1, "maxLength": 200},
            "status": {"enum": ["pending", "shipped", "delivered"]},
            "updated_at": {"bsonType": "date"},
        },
    }
}

SAMPLES = [
    ("Ada Lindqvist", "Walnut desk", "pending"),
    ("Bruno Okafor", "Espresso machine", "shipped"),
    ("Chiara Novak", "Trail running shoes", "delivered"),
    ("Daniel Mbeki", "Mechanical keyboard", "pending"),
    ("Elif Sørensen", "Noise-cancelling headphones", "shipped"),
    ("Farid Castillo", "Cast-iron pan", "delivered"),
    ("Greta Yamamoto", "Bicycle lights", "pending"),
    ("Hugo Andersson", "Two-person tent", "shipped"),
    ("Ines Kowalski", "Watercolour set", "delivered"),
    ("Jonas Adeyemi", "Graphics tablet", "pending"),
]


Step = Callable[[Database[dict[str, Any]]], str]


class SetupError(Exception):
    """The database cannot be prepared; the message says why in one sentence."""


def main() -> int:
    """Prepare the database at MONGODB_URI; print a line for each step and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", action="store_true", help="insert sample orders into an empty collection")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--announce-secret", action="store_true", help="create the next secret for session ids")
    secret.add_argument("--rotate-secret", action="store_true", help="use the next secret, or a new one")
    options = parser.parse_args()
    return run_steps(lambda: _command(options), SetupError)


def _command(options: argparse.Namespace) -> Iterator[str]:
    target = find_target()
    yield f"Preparing {target.sentence}"
    announce, rotate = options.announce_secret, options.rotate_secret
    yield from setup(target.uri, samples=options.samples, announce=announce, rotate=rotate)


def setup(
    mongodb_uri: str,
    patience: float = PATIENCE,
    *,
    samples: bool = False,
    announce: bool = False,
    rotate: bool = False,
) -> Iterator[str]:
    """Run the steps in order and describe each result; raise SetupError.

    `samples`: insert some orders if there are none. `announce`: create the next secret for session ids. `rotate`: use
    it, or a new one. `patience`: the seconds that a step may wait for the server.
    """
    try:
        patience_ms = int(patience * 1000)
        with mongo_client(
            mongodb_uri, serverSelectionTimeoutMS=patience_ms, appname="orders-setup-db", tz_aware=True
        ) as client:
            secret = _rotate_secret if rotate else _announce_secret if announce else _share_secret
            for step in _steps(secret, samples=samples):
                with pymongo.timeout(patience):
                    done = step(client.get_default_database(DEFAULT_DATABASE))
                yield done
    except OperationFailure as error:
        raise SetupError(f"MongoDB refused a step: {(error.details or {}).get('errmsg', error)}") from error
    except WrongSetting as error:
        raise SetupError(error_text(error)) from error
    except PyMongoError as error:
        raise SetupError(f"MongoDB went away during a step: {explain(error_text(error))}") from error


def _require_replica_set(database: Database[dict[str, Any]]) -> str:
    client = database.client
    try:
        hello = client.admin.command("hello")
    except ServerSelectionTimeoutError as error:
        servers = client.topology_description.server_descriptions()
        hosts = ", ".join(f"{host}:{port}" for host, port in servers)
        if any(server.server_type_name == "RSGhost" for server in servers.values()):
            message = f"MongoDB at {hosts} is not a replica set yet: run rs.initiate() there once."
        else:
            message = f"No MongoDB that takes writes answers at {hosts}; start it, or set MONGODB_URI to another one."
        raise SetupError(message) from error
    where = ", ".join(f"{host}:{port}" for host, port in client.topology_description.server_descriptions())
    if hello.get("msg") == "isdbgrid":
        return f"MongoDB at {where} is a sharded cluster"
    if "setName" not in hello:
        raise SetupError(
            f"MongoDB at {where} is not a replica set, and only replica sets have change streams: start mongod with "
            "--replSet rs0 and run rs.initiate() there once (a set of one is enough)."
        )
    return f"MongoDB at {where} is the replica set {hello['setName']}"


def _require_ordinary(database: Database[dict[str, Any]]) -> str:
    for info in database.list_collections(filter={"name": COLLECTION}):
        if (wrong := unfit(info)) is not None:
            raise SetupError(wrong)
    return f"{database.name}.{COLLECTION} is an ordinary collection, or can become one"


def _options(database: Database[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the options of the collection, or None if it does not exist."""
    found = next(iter(database.list_collections(filter={"name": COLLECTION})), None)
    return None if found is None else found.get("options", {})


def _create_collection(database: Database[dict[str, Any]]) -> str:
    options = _options(database)
    images = {"enabled": True}
    if options is None:
        database.create_collection(COLLECTION, changeStreamPreAndPostImages=images)
        return f"Created the collection {database.name}.{COLLECTION} with pre- and post-images"
    if options.get("changeStreamPreAndPostImages") == images:
        return f"The collection {database.name}.{COLLECTION} exists already, with pre- and post-images"
    database.command("collMod", COLLECTION, changeStreamPreAndPostImages=images)
    return f"Switched on pre- and post-images for the collection {database.name}.{COLLECTION}"


def _set_validator(database: Database[dict[str, Any]]) -> str:
    there = (_options(database) or {}).get("validator")
    if there == VALIDATOR:
        return "The validator exists already; it warns and refuses nothing"
    title = (there or {}).get("$jsonSchema", {}).get("title")
    if there and title != VALIDATOR["$jsonSchema"]["title"]:
        return "Kept the existing validator: it is not ours"
    database.command("collMod", COLLECTION, validator=VALIDATOR, validationLevel="strict", validationAction="warn")
    return "Set the validator; it warns and refuses nothing"


def _create_indexes(database: Database[dict[str, Any]]) -> str:
    before = set(database[COLLECTION].index_information())
    created = [name for name in database[COLLECTION].create_indexes(INDEXES) if name not in before]
    return f"Created the indexes {', '.join(created)}" if created else "The indexes exist already"


def _insert_samples(database: Database[dict[str, Any]]) -> str:
    orders = database.get_collection(COLLECTION, write_concern=WriteConcern("majority"))
    if orders.find_one({}, {"_id": 1}) is not None:
        return "Inserted no sample orders: the collection has orders already"
    now = datetime.now(UTC).replace(microsecond=0)
    samples = [
        {"customer_name": customer, "product_name": product, "status": status, "updated_at": now - timedelta(hours=age)}
        for age, (customer, product, status) in zip(range(len(SAMPLES), 0, -1), SAMPLES, strict=True)
    ]
    try:
        orders.insert_many(samples)
    except BulkWriteError as error:
        return f"Inserted no sample orders: {error.details['writeErrors'][0]['errmsg']}"
    return f"Inserted {len(SAMPLES)} sample orders, because the collection was empty"


def _try_change_stream(database: Database[dict[str, Any]]) -> str:
    with database.watch(full_document="whenAvailable", max_await_time_ms=100) as stream:
        stream.try_next()
        if not stream.alive or stream.resume_token is None:
            raise SetupError("MongoDB opened a change stream and closed it at once: the services would see no change.")
    return "Change streams work"


def _share_secret(database: Database[dict[str, Any]]) -> str:
    """Create the secret before any gateway starts, so that the gateways need not agree on one."""
    made = database.get_collection(SECRETS, write_concern=WriteConcern("majority")).update_one(
        {"_id": RECOVERY}, {"$setOnInsert": {"secrets": [new_secret()]}}, upsert=True
    )
    return "The gateways' secret exists already" if made.upserted_id is None else "Created a secret for the gateways"


def _announce_secret(database: Database[dict[str, Any]]) -> str:
    _change_secret(database, announced)
    return "Announced the gateways' next secret; all of them know it within a minute"


def _rotate_secret(database: Database[dict[str, Any]]) -> str:
    _change_secret(database, rotated)
    return "Created a new secret for the gateways, or took the announced one; they use it within a minute"


def _change_secret(
    database: Database[dict[str, Any]], changed: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    secrets = database.get_collection(SECRETS, write_concern=WriteConcern("majority"))
    secrets.update_one({"_id": RECOVERY}, {"$set": changed(secrets.find_one({"_id": RECOVERY}) or {})}, upsert=True)


def _steps(secret: Step, *, samples: bool) -> Iterator[Step]:
    yield _require_replica_set
    yield _require_ordinary
    yield _create_collection
    yield _set_validator
    yield _create_indexes
    yield secret
    if samples:
        yield _insert_samples
    yield _try_change_stream


if __name__ == "__main__":
    sys.exit(main())
