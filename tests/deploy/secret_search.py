"""Looks for the secrets of the stack everywhere that they should not be."""

import re
from collections.abc import Mapping

from tests.deploy.running_stack import RunningStack, docker, require

_SECRET = re.compile(r"[0-9a-f]{48,64}")


async def look_for_secrets(stack: RunningStack, held: Mapping[str, str]) -> str:
    """Require that none is in a description, a command line, an environment, a log or an image; say how many there are.

    `held`: the content of all files with secrets. Hashes, in Valkey's file of users, are not secret.
    """
    of = {
        folder: {secret for name, text in held.items() if name.startswith(f"{folder}/") for secret in found(text)}
        for folder in ("setup", "watcher", "gateway", "grafana")
    }
    secrets = set().union(*of.values()) | await recovery_secrets(stack)
    require(len(secrets) >= 5, f"there are secrets to look for: {len(secrets)}")
    require(not of["watcher"] & of["gateway"], "the watcher and the gateways have no secret in common")
    places = {"docker compose config": await stack("config"), "the logs": await stack("logs", "--no-color")}
    containers = (await stack("ps", "--all", "--quiet")).split()
    places["docker inspect"] = await docker("inspect", *containers)
    for container in containers:
        details = await stack.inspect(container)
        places[f"the image of {details['Name']}"] = await docker("history", "--no-trunc", details["Image"])
        if details["State"]["Running"]:
            places[f"the processes of {details['Name']}"] = await docker("top", container, "axe", "-o", "pid,args")
    shown = [place for place, text in places.items() if any(secret in text for secret in secrets)]
    require(not shown, f"secrets are shown by {shown}")
    for service in ("watcher", "gateway"):
        script = "from pathlib import Path; print(*(f.read_text() for f in Path('/run/secrets').iterdir()))"
        sees = found(await stack("exec", "--no-TTY", service, "python", "-c", script))
        require(sees == of[service], f"{service} sees its own secrets only")
    return f"{len(secrets)} secrets, {len(places)} places"


def found(text: str) -> set[str]:
    """Return the secrets in the content of a file."""
    return set(_SECRET.findall(text))


async def recovery_secrets(stack: RunningStack) -> set[str]:
    """Return those that sign the ids of sessions; they are in MongoDB."""
    script = (
        "from pathlib import Path; from pymongo import MongoClient; "
        "print(MongoClient(Path('/run/secrets/mongodb_uri').read_text()).get_default_database()"
        "['gateway_secrets'].find_one({})['secrets'])"
    )
    return found(await stack("exec", "--no-TTY", "gateway", "python", "-c", script))
