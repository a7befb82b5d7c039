"""Prepares the database for the services: `python -m services.commands.setup_db`; repeating it changes nothing.

With `--samples`, an empty collection gets sample orders. With `--rotate-secret`, the gateways get a new secret for the
ids of Socket.IO sessions; ids signed with the previous one stay valid. `--announce-secret`, a minute before, lets all
gateways know the new one before the first of them signs with it.
"""

import argparse
import sys
from collections.abc import Iterator

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from services.commands.database_steps import (
    SetupError,
    announce_secret,
    create_indexes,
    rotate_secret,
    share_secret,
    steps,
)
from services.commands.steps import run_steps
from services.commands.target import find_target, mongo_client
from services.common.error_text import error_text
from services.common.settings import WrongSetting
from services.common.stream_spec import DEFAULT_DATABASE
from services.mongodb.faults import explain

__all__ = ["SetupError", "main", "setup"]

# A server that starts together with us needs some seconds; one that is missing needs a person.
PATIENCE = 30.0


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
            secret = rotate_secret if rotate else announce_secret if announce else share_secret
            for step in steps(secret, samples=samples):
                # An index of millions of orders takes its time; MongoDB builds it while they are read and written.
                with pymongo.timeout(None if step is create_indexes else patience):
                    done = step(client.get_default_database(DEFAULT_DATABASE))
                yield done
    except OperationFailure as error:
        raise SetupError(f"MongoDB refused a step: {(error.details or {}).get('errmsg', error)}") from error
    except WrongSetting as error:
        raise SetupError(error_text(error)) from error
    except PyMongoError as error:
        raise SetupError(f"MongoDB went away during a step: {explain(error_text(error))}") from error


if __name__ == "__main__":
    sys.exit(main())
