"""The API's descriptions are valid to their official tools, true to the gateway, and good for generated clients."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
import socketio

from tests.access.conftest import guarded_on
from tests.access.stand_in_provider import stand_in_provider
from tests.access.tokens import token
from tests.e2e.clients import curl
from tests.e2e.conftest import Product
from tests.servers import Servers
from tests.service_process import ROOT, ServiceProcess
from tests.waiting import HANGS, until

NODE = ROOT / "node_modules"
HISTORY = "/api/orders/{id}/history"
SCRIPTS = ROOT / "tests" / "e2e" / "js"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # generators call formatters

# Some parameters of a list exclude each other, and OpenAPI can not say which: a list is refused that no index serves.
REFUSED_COMBINATIONS = """
hooks = "different_ids"
[[operations]]
include-operation-id = "listOrders"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 406, 409, 422, 429]
"""

# That no two operations of a batch are of the same order is what no JSON Schema says.
DIFFERENT_IDS = """
import schemathesis

@schemathesis.hook
def filter_body(_, body):
    operations = body.get("operations") if isinstance(body, dict) else None
    if not isinstance(operations, list):
        return True
    ids = [each["id"] for each in operations if isinstance(each, dict) and isinstance(each.get("id"), str)]
    return len(ids) == len(set(ids))
"""

# What is random is no answer of a provider's, and no token of one: it is refused, however well it fits the description.
# Of a revocation's texts each character has to be printable, which no pattern of ECMA-262 says.
REFUSED_BY_CONTENT = "".join(
    f"""
[[operations]]
include-operation-id = "{operation}"
checks.positive_data_acceptance.expected-statuses = ["2xx", 302, 400, 401, 403, 404, 406, 409, 422, 429]
"""
    for operation in ("signIn", "completeSignIn", "endSessions", "revoke")
)

USE_GENERATED_CLIENT = """
import sys
from orders_api import Client
from orders_api.api.default import create_order, delete_order, get_order, list_orders, update_order
from orders_api.models import NewOrder, NewOrderStatus, Order, OrderChange, OrderChangeStatus, Problem

client = Client(base_url=sys.argv[1])
new = NewOrder(customer_name="Ada Lovelace", product_name="Engine", status=NewOrderStatus.PENDING)
created = create_order.sync(client=client, body=new)
assert isinstance(created, Order), created
change = OrderChange(status=OrderChangeStatus.SHIPPED)
changed = update_order.sync(created.field_id, client=client, body=change)
assert isinstance(changed, Order) and changed.status == "shipped", changed
listed = list_orders.sync(client=client, limit=1)
assert [order.field_id for order in listed] == [created.field_id], listed
assert get_order.sync(created.field_id, client=client) == changed
assert delete_order.sync(created.field_id, client=client) == changed
missing = get_order.sync(created.field_id, client=client)
assert isinstance(missing, Problem) and missing.status == 404, missing
"""


def run(*command: object, folder: Path) -> str:
    """Run a program to its end and return what it printed; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={
            **os.environ,
            "PATH": PATH,
            "NO_COLOR": "1",
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def fetch(gateway: ServiceProcess, folder: Path) -> dict[str, Any]:
    """Store both documents in the folder and return that of the stream."""
    async with aiohttp.ClientSession() as session:
        for name in ("openapi.json", "asyncapi.json"):
            async with session.get(f"{gateway.url}/api/{name}") as reply:
                assert (reply.status, reply.content_type) == (200, "application/json")
                (folder / name).write_bytes(await reply.read())
    (folder / "node_modules").symlink_to(NODE)
    document: dict[str, Any] = json.loads((folder / "asyncapi.json").read_text())
    return document


async def test_the_official_tools_find_nothing_and_make_clients_that_work(product: Product, tmp_path: Path) -> None:
    await product.watcher()
    gateway = await product.gateway()
    await fetch(gateway, tmp_path)
    linted = run(NODE / ".bin" / "redocly", "lint", "openapi.json", "--format=json", folder=tmp_path)
    assert json.loads(linted[linted.index("{") :])["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}
    (tmp_path / "parse.mjs").write_text((SCRIPTS / "parse-asyncapi.mjs").read_text())
    assert run("node", "parse.mjs", "asyncapi.json", folder=tmp_path) == ""

    (tmp_path / "use.mts").write_text((SCRIPTS / "use-generated-client.mts").read_text())
    run(NODE / ".bin" / "openapi-typescript", "openapi.json", "--output", "schema.d.ts", folder=tmp_path)
    run(NODE / ".bin" / "tsc", "--strict", "--module", "nodenext", "--target", "es2022", "use.mts", folder=tmp_path)
    assert json.loads(run("node", "use.mjs", gateway.url, folder=tmp_path)) == {
        "changed": "shipped",
        "listed": [True],
        "read": "Ada Lovelace",
        "deleted": True,
        "missing": "urn:realtime-orders:problem:order-not-found",
        "refused": "status",
    }

    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ["--meta", "none", "--output-path", "orders_api", "--overwrite", "--fail-on-warning"]
    run(generator, "generate", "--path", "openapi.json", *options, folder=tmp_path)
    (tmp_path / "use.py").write_text(USE_GENERATED_CLIENT)
    run(sys.executable, "use.py", gateway.url, folder=tmp_path)


def payloads(stream: dict[str, Any]) -> Iterator[tuple[str, jsonschema_rs.Validator]]:
    schemas = stream["components"]["schemas"]
    for name, message in stream["components"]["messages"].items():
        yield name, jsonschema_rs.validator_for({**message["payload"], "components": {"schemas": schemas}})


async def test_events_and_acknowledgements_are_as_described(product: Product, tmp_path: Path) -> None:
    await product.watcher()
    gateway = await product.gateway()
    stream = await fetch(gateway, tmp_path)
    validators = dict(payloads(stream))
    told: list[tuple[str, Any]] = []
    async with curl(f"{gateway.url}/api/orders/events") as sse, socketio.AsyncSimpleClient() as client:
        seen = client.client = socketio.AsyncClient()
        seen.on("*", lambda name, payload, *_: told.append((name, payload)))
        auth = {"filter": {"status": ["pending"]}}
        await seen.connect(gateway.url, transports=["websocket"], auth=auth, wait_timeout=HANGS)
        told.append(("FilterAck", await seen.call("subscribe", {"customer_name": "Ada"})))
        told.append(("FilterAck", await seen.call("subscribe", {"colour": "red"})))
        told.append(("FilterAck", await seen.call("unsubscribe")))
        told.append(("FilterAck", await seen.call("subscribe")))
        await product.orders.insert_one({"customer_name": 7, "lines": [1, None]})
        await product.orders.update_many({}, {"$set": {"status": "pending"}})
        await product.orders.delete_many({})
        await until(lambda: len([name for name, _ in told if name == "orderUpdate"]) >= 3, "three changes were told")
        await sse.has(3)
        await seen.disconnect()
    assert {name for name, _ in told} >= {"connected", "subscribed", "orderUpdate", "FilterAck"}
    channels = stream["channels"]
    for name, payload in told:
        validators[name].validate(payload)
        assert name in channels["socketio"]["messages"]
    for line in sse.said:
        validators[line["name"]].validate(line["args"][0])
        assert line["name"] in channels["sse"]["messages"]


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        (
            ["--exclude-path", "/api/orders/events", "--exclude-path", HISTORY],
            ["--max-examples", "12", "--request-timeout", "10"],
        ),
        # Without what is stateful: that a deleted order still has a history is no mistake.
        (["--include-path", HISTORY], ["--max-examples", "8", "--phases", "coverage,fuzzing"]),
        # Its streams do not end: each that opens is read until the timeout.
        (
            ["--include-path", "/api/orders/events"],
            ["--max-examples", "4", "--request-timeout", "0.3", "--phases", "coverage,fuzzing"],
        ),
    ],
    ids=["requests", "history", "stream"],
)
async def test_schemathesis_finds_nothing(
    product: Product, tmp_path: Path, paths: list[str], options: list[str]
) -> None:
    await product.watcher()
    gateway = await product.gateway()
    (tmp_path / "schemathesis.toml").write_text(REFUSED_COMBINATIONS)
    (tmp_path / "different_ids.py").write_text(DIFFERENT_IDS)
    program = Path(sys.executable).with_name("schemathesis")
    seeded = ["--checks", "all", "--continue-on-failure", "--seed", "1", "--no-color"]
    run(program, "run", f"{gateway.url}/api/openapi.json", *seeded, *paths, *options, folder=tmp_path)


async def test_schemathesis_finds_nothing_where_people_sign_in(session_servers: Servers, tmp_path: Path) -> None:
    async with stand_in_provider() as provider, guarded_on(session_servers, tmp_path) as product:
        await product.watcher()
        gateway = await product.gateway(**provider.settings)
        await fetch(gateway, tmp_path)
        linted = run(NODE / ".bin" / "redocly", "lint", "openapi.json", "--format=json", folder=tmp_path)
        problems = json.loads(linted[linted.index("{") :])["problems"]
        # They lead elsewhere, and never answer 2xx.
        assert {(one["ruleId"], one["location"][0]["pointer"]) for one in problems} == {
            ("operation-2xx-response", f"#/paths/~1auth~1{way}/get/responses") for way in ("sign-in", "callback")
        }
        (tmp_path / "schemathesis.toml").write_text(REFUSED_BY_CONTENT)
        program = Path(sys.executable).with_name("schemathesis")
        own = ["--header", f"Authorization: Bearer {token('root', scope='orders:admin orders:read')}"]
        some = [
            "--include-path-regex",
            "^/(auth|api/(tickets|admin))",
            "--max-examples",
            "12",
            "--request-timeout",
            "10",
        ]
        seeded = ["--checks", "all", "--continue-on-failure", "--seed", "1", "--no-color"]
        address = f"{gateway.url}/api/openapi.json"
        await asyncio.to_thread(partial(run, program, "run", address, *seeded, *own, *some, folder=tmp_path))
