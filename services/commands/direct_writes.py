"""Lets a command write orders directly to MongoDB, not through the API, and says in a sentence why it cannot."""

import sys
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, PyMongoError

from services.commands.database_steps import COLLECTION
from services.commands.steps import wrong_settings
from services.commands.target import find_target, mongo_client
from services.common.error_text import error_text
from services.common.settings import WrongSetting
from services.common.stream_spec import DEFAULT_DATABASE
from services.mongodb.faults import explain

Orders = Collection[dict[str, Any]]

PATIENCE_MS = 5000


def write_directly(program: str, write: Callable[[Orders], str]) -> int:
    """Call ``write`` with the orders, print what it returns and where that was, and return the exit code."""
    try:
        target = find_target()
    except (ValidationError, WrongSetting) as error:
        print(wrong_settings(error), file=sys.stderr)
        return 1
    try:
        with mongo_client(target.uri, serverSelectionTimeoutMS=PATIENCE_MS, appname=program) as client:
            database = client.get_default_database(DEFAULT_DATABASE)
            done = write(database.get_collection(COLLECTION, write_concern=WriteConcern("majority")))
    except WrongSetting as error:
        print(f"Nothing was written: {error_text(error)}", file=sys.stderr)
        return 1
    except PyMongoError as error:
        print(f"Nothing was written: {_reason(error, target.sentence)}", file=sys.stderr)
        return 1
    print(f"{done} ({target.sentence})")
    return 0


def _reason(error: PyMongoError, target: str) -> str:
    why = explain(error_text(error))
    if isinstance(error, ConnectionFailure):
        return f"no answer from {target} ({why}). Start `make run`, or set MONGODB_URI."
    return f"{target} refused it ({why})."
