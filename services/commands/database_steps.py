"""The steps that prepare a database; each changes nothing where its work is done already, and says what it did."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import IndexModel, WriteConcern
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ServerSelectionTimeoutError

from services.commands.database_spec import INDEXES, REVOCATION_INDEXES, SAMPLES, VALIDATOR
from services.common.kept_answers_spec import COLLECTION as ANSWERS
from services.common.kept_answers_spec import CREATED_AT, KEPT_SECONDS
from services.common.order_indexes import INDEXES as ORDER_INDEXES
from services.common.revocation_document import COLLECTION as REVOCATIONS
from services.common.secret_document import COLLECTION as SECRETS
from services.common.secret_document import RECOVERY, announced, new_secret, rotated
from services.common.stream_spec import ORDERS
from services.mongodb.collection_kind import unfit

COLLECTION = ORDERS.collection

Step = Callable[[Database[dict[str, Any]]], str]


class SetupError(Exception):
    """The database cannot be prepared; the message says why in one sentence."""


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


def create_indexes(database: Database[dict[str, Any]]) -> str:
    """Create what is missing, and create anew what an older version has made; this takes as long as it takes."""
    orders = database[COLLECTION]
    before = orders.index_information()
    for index in ORDER_INDEXES:
        there = before.get(index.name)
        if there is not None and (there["key"] != index.keys or there.get("partialFilterExpression") != index.only):
            orders.drop_index(index.name)  # of an older version
    created = []
    for collection, indexes in ((COLLECTION, INDEXES), (REVOCATIONS, REVOCATION_INDEXES)):
        present = set(database[collection].index_information())
        created += [name for name in database[collection].create_indexes(indexes) if name not in present]
    return f"Created the indexes {', '.join(created)}" if created else "The indexes exist already"


def _create_answers(database: Database[dict[str, Any]]) -> str:
    """Create the collection of kept answers before any gateway uses it, and have MongoDB remove the old ones."""
    before = set(database[ANSWERS].index_information())
    made = database[ANSWERS].create_indexes([IndexModel([(CREATED_AT, 1)], expireAfterSeconds=KEPT_SECONDS)])
    if set(made) <= before:
        return f"The collection {database.name}.{ANSWERS} exists already"
    return f"Created the collection {database.name}.{ANSWERS}, for answers to repeated writes"


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
    with database.watch(full_document="whenAvailable", max_await_time_ms=1) as stream:
        stream.try_next()
        if not stream.alive or stream.resume_token is None:
            raise SetupError("MongoDB opened a change stream and closed it at once: the services would see no change.")
    return "Change streams work"


def share_secret(database: Database[dict[str, Any]]) -> str:
    """Create the secret before any gateway starts, so that the gateways need not agree on one."""
    made = database.get_collection(SECRETS, write_concern=WriteConcern("majority")).update_one(
        {"_id": RECOVERY}, {"$setOnInsert": {"secrets": [new_secret()]}}, upsert=True
    )
    return "The gateways' secret exists already" if made.upserted_id is None else "Created a secret for the gateways"


def announce_secret(database: Database[dict[str, Any]]) -> str:
    """Create the next secret, which no gateway signs with yet."""
    _change_secret(database, announced)
    return "Announced the gateways' next secret; all of them know it within a minute"


def rotate_secret(database: Database[dict[str, Any]]) -> str:
    """Have the gateways sign with the announced secret, or with a new one."""
    _change_secret(database, rotated)
    return "Created a new secret for the gateways, or took the announced one; they use it within a minute"


def _change_secret(
    database: Database[dict[str, Any]], changed: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    secrets = database.get_collection(SECRETS, write_concern=WriteConcern("majority"))
    secrets.update_one({"_id": RECOVERY}, {"$set": changed(secrets.find_one({"_id": RECOVERY}) or {})}, upsert=True)


def steps(secret: Step, *, samples: bool) -> Iterator[Step]:
    """Yield the steps in their order, among them what is to be done about the ``secret``."""
    yield _require_replica_set
    yield _require_ordinary
    yield _create_collection
    yield _set_validator
    yield create_indexes
    yield _create_answers
    yield secret
    if samples:
        yield _insert_samples
    yield _try_change_stream
