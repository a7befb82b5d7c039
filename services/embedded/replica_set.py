"""Initiates a MongoDB replica set, and reconfigures it when a port has changed."""

from collections.abc import Sequence
from typing import Any

from bson import SON
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

_NOT_YET_INITIATED = 94
_SETTINGS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}


def direct_client(host: str, timeout: int = 1000) -> AsyncMongoClient[dict[str, Any]]:
    """Return a client of exactly this member, whatever its state; calls time out after some seconds."""
    return AsyncMongoClient(
        f"mongodb://{host}/?directConnection=true", serverSelectionTimeoutMS=timeout, socketTimeoutMS=5 * timeout
    )


async def establish(client: AsyncMongoClient[dict[str, Any]], name: str, hosts: Sequence[str]) -> None:
    """Initiate a set of `hosts`, or reconfigure one of other hosts, as after a change of port.

    `client` is connected to one of them. Do nothing if the set is correct. Raise PyMongoError.
    """
    try:
        reply = await client.admin.command("replSetGetConfig")
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIATED:
            raise
        await client.admin.command("replSetInitiate", _config(name, hosts))
        return
    config = reply["config"]
    if [member["host"] for member in config["members"]] == list(hosts):
        return
    # Forced, because a member that does not find itself in the set has no primary.
    moved = {**config, "members": _config(name, hosts)["members"], "version": config["version"] + 1}
    await client.admin.command(SON([("replSetReconfig", moved), ("force", True)]))


def _config(name: str, hosts: Sequence[str]) -> dict[str, Any]:
    members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
    return {"_id": name, "members": members, "settings": _SETTINGS}
