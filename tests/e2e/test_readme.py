"""The tour with curl works as the README prints it, in each shell that is here."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from services.gateway.http.openapi import openapi_document
from tests.e2e.clients import curl
from tests.e2e.conftest import Product
from tests.service_process import ROOT

SHELLS = ["bash", "dash", "zsh"]


def tour() -> str:
    """Return the commands of the tour, but for the streams, which do not end."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## A tour with curl\n")[2].partition("\n## ")[0]
    commands = re.findall(r"^    (.*)$", section, flags=re.MULTILINE)
    assert commands[0] == "curl -N localhost:3000/api/orders/events"
    return "\n".join(command for command in commands if not command.startswith("curl -N"))


@pytest.mark.parametrize("shell", SHELLS)
async def test_every_command_of_the_tour_does_what_it_says(product: Product, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"NOT TESTED: the README's commands in {shell}, which is not here")
    await product.watcher()
    gateway = await product.gateway()
    script = tmp_path / "tour"
    script.write_text(re.sub(r"curl (-s )?", "curl -s ", tour()).replace("localhost:3000", f"localhost:{gateway.port}"))
    async with curl(f"{gateway.url}/api/orders/events") as stream:
        child = await asyncio.create_subprocess_exec(
            shell, "-e", str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, complaint = await child.communicate()
        assert (child.returncode, complaint) == (0, b"")
        answers, rest = [], said.decode().strip()
        while rest:
            answer, end = json.JSONDecoder().raw_decode(rest)
            answers.append(answer)
            rest = rest[end:].lstrip()
        created, listed, read, shipped, deleted, past, refused = answers
        assert listed == [created]
        assert read == created
        assert (shipped["status"], deleted) == ("shipped", shipped)
        assert [change["operation"] for change in past["changes"]] == ["DELETE", "UPDATE", "INSERT"]
        assert refused["errors"][0]["field"] == "customer_name"
        assert [event["operation"] for event in await stream.has(3)] == ["INSERT", "UPDATE", "DELETE"]
        schemas = openapi_document("1")["components"]["schemas"]
        for name, events in (("Envelope", stream.updates), ("Connected", [stream.said[0]["args"][0]])):
            for event in events:
                assert {*schemas[name]["required"]} <= event.keys() <= schemas[name]["properties"].keys()
