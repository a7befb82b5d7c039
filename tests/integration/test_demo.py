"""`make demo` writes believable orders, stops by itself, and touches no others."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from services.commands import demo
from services.commands.setup_db import setup


def test_so_many_changes_of_its_own_orders_and_no_more(
    mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list(setup(mongodb_uri))  # with the validator: the orders are such as the API would take
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        orders.delete_many({})
        theirs = orders.insert_one(
            {"customer_name": "Eve", "product_name": "Rug", "status": "pending", "updated_at": datetime.now(UTC)}
        )
        with orders.watch(max_await_time_ms=1000) as changes:
            assert demo.main(["--count", "200", "--rate", "200"]) == 0
            seen: list[dict[str, Any]] = []
            while len(seen) < 200:
                if (change := changes.try_next()) is not None:
                    seen.append(dict(change))
            assert changes.try_next() is None, "it has stopped"
        assert theirs.inserted_id not in {change["documentKey"]["_id"] for change in seen}
        kinds = Counter(change["operationType"] for change in seen)
        assert orders.count_documents({}) == 1 + kinds["insert"] - kinds["delete"]
        assert {order["status"] for order in orders.find()} <= {"pending", "shipped", "delivered"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Writing 200 changes, for about 1 seconds; Ctrl-C ends it sooner."
    assert f"{kinds['insert']} added" in said[1]


def test_orders_come_move_on_and_are_changed_and_cancelled_now_and_then(mongodb_uri: str) -> None:
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        orders.delete_many({})
        said = demo.run(orders, 300, 5.0, random.Random(1), lambda _: None)
        statuses = Counter(order["status"] for order in orders.find())
    done = {what: int(number) for number, what in (each.split(" ", 1) for each in said.split(":")[0].split(", "))}
    assert sum(done.values()) == 300
    assert min(done.values()) > 0
    assert min(statuses[status] for status in ("pending", "shipped", "delivered")) > 0
    assert done["moved on"] > done["added"], "most orders are shipped and delivered"


def test_an_interrupt_ends_it_and_what_was_written_is_told(mongodb_uri: str) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        orders = client.get_default_database()["orders"]
        said = demo.run(orders, 100, 5.0, random.Random(1), interrupt)
    assert said == "1 added, 0 moved on, 0 changed, 0 cancelled: orders of a shop"


@pytest.mark.parametrize(
    ("argument", "value"),
    [("--count", "0"), ("--count", "10001"), ("--count", "ten"), ("--rate", "0"), ("--rate", "201"), ("--rate", "nan")],
)
def test_what_is_not_bounded_is_refused(argument: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main([argument, value])
    assert f"argument {argument}: must be a" in capsys.readouterr().err
