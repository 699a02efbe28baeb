"""What the guides say of roles, errors and sizes is so."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson import Timestamp
from mongo_gcp_stream import Runner, to_extended_json
from mongo_gcp_stream.testing import Mongod

from tests.support.pages import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo import MongoClient

    from tests.support.line import Line

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guide"
START = (GUIDES / "getting-started.md").read_text()
COST = (GUIDES / "cost.md").read_text()
PASSWORD = "guidePassword"  # noqa: S105 - of a server that lives for a test


@pytest.fixture(scope="module")
def locked() -> Iterator[Mongod]:
    """A mongod that wants a user."""
    with Mongod(password=PASSWORD) as server:
        yield server


def with_roles(client: MongoClient[dict[str, Any]], user: str, roles: list[Any]) -> None:
    client.admin.command("createUser", user, pwd=PASSWORD, roles=roles)


def test_the_configuration_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/")
    monkeypatch.setenv("GCP_PROJECT_ID", "some-project")
    (text,) = blocks(START, "yaml")
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert not Runner(str(config)).warnings


def test_the_names_in_the_guide_are_those_of_its_configuration() -> None:
    (config,) = blocks(START, "yaml")
    shell = "".join(blocks(START, "sh"))
    assert "{name: shop-changes}" in config
    assert shell.count("shop-changes") >= 3
    assert "shop.orders" in shell
    assert "{database: shop, collection: orders}" in config


@pytest.mark.parametrize(
    ("user", "roles", "source"),
    [
        ("reader", lambda database: [{"role": "read", "db": database}], {}),
        ("two-actions", lambda _: ["twoActions"], {}),
        (
            "everywhere",
            lambda _: ["readAnyDatabase"],
            {"scope": "deployment", "database": None, "collection": None},
        ),
    ],
)
def test_the_roles_suffice(
    line: Line, locked: Mongod, user: str, roles: Any, source: dict[str, Any]
) -> None:
    resource = {"db": line.database, "collection": "orders"}
    privilege = {"resource": resource, "actions": ["find", "changeStream"]}
    with locked.client() as client:
        if user == "two-actions":
            client.admin.command("createRole", "twoActions", privileges=[privilege], roles=[])
        with_roles(client, user, roles(line.database))
        line.configure(uri=locked.uri.replace("root:", f"{user}:"), source=source)
        line.prepare()
        orders = client[line.database].orders
        orders.insert_many([{"_id": number} for number in range(10)])
        assert line.catch_up().wait() == 0
    namespaces = [message.attributes["namespace"] for message in line.pubsub.messages()]
    assert namespaces.count(f"{line.database}.orders") == 10


def test_the_errors_that_a_first_try_meets_are_those_of_the_program() -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \| ", START.partition("When it does not work")[2], re.MULTILINE
    )
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    assert len(rows) == 4
    assert not [row for row in rows if row not in source]


def message_bytes(size: int, *, full_document: bool = True) -> tuple[int, int, int]:
    """Data, attributes, and the rest that Pub/Sub counts, of an update of a document of a size."""
    order = {"_id": bson.ObjectId(), "revision": 1, "padding": "x" * (size - 50)}
    event: dict[str, Any] = {
        "_id": {"_data": "82" + 40 * "AB" + "2B022C0100296E5A1004" + 60 * "C"},
        "operationType": "update",
        "clusterTime": Timestamp(1, 1),
        "wallTime": datetime(2026, 11, 22, tzinfo=timezone.utc),
        "fullDocument": order,
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": order["_id"]},
        "updateDescription": {"updatedFields": {"revision": 1}, "removedFields": []},
    }
    if not full_document:
        del event["fullDocument"]
    attributes = {
        "event_id": 32 * "0",
        "operation": "update",
        "namespace": "shop.orders",
        "cluster_time": "1763848800.1",
        "connection_id": "main",
        "source_name": "orders",
        "full_document": "lookup",
        "content_type": "application/json",
    }
    counted = sum(len(key) + len(value) for key, value in attributes.items())
    return len(to_extended_json(bson.encode(event))), counted, 20 + len("12345678901234567")


def test_what_a_change_weighs() -> None:
    data, attributes, rest = message_bytes(1000)
    assert data + attributes + rest == pytest.approx(1750, rel=0.1)
    assert attributes == pytest.approx(180, rel=0.1)
    assert sum(message_bytes(1000, full_document=False)) < (data + attributes + rest) / 2
    assert sum(message_bytes(100, full_document=False)) == pytest.approx(650, rel=0.15)
    saved = attributes - len("event_id") - 32
    assert saved / (data + attributes + rest) == pytest.approx(0.08, abs=0.01)


def test_the_table_of_prices_is_computed_right() -> None:
    rows = re.findall(
        r"^\| (\d+) (m|b)illion \| ([\d.,]+) \| ([\d,]+) GiB \| \$(\d+) \|$", COST, re.MULTILINE
    )
    assert len(rows) == 4
    for number, unit, rate, volume, price in rows:
        changes = int(number) * (1e6 if unit == "m" else 1e9)
        gib = changes * 1750 * 2 / 2**30
        assert float(rate.replace(",", "")) == pytest.approx(changes / 30 / 86400, rel=0.05)
        assert int(volume.replace(",", "")) == round(gib)
        assert int(price) == round(max(0.0, gib - 10) / 1024 * 40)


def test_what_is_marked_as_measured_was_measured() -> None:
    measured = (ROOT / "docs" / "performance.md").read_text()
    drains = re.findall(
        r"^\| mongo-gcp-stream \| ([\d.]+) \| [\d,]+ \| (\d+) \| (\d+) \|", measured, re.MULTILINE
    )
    assert drains
    for low, high, column in (
        *((low, high, 0) for low, high in re.findall(r"([\d.]+) to ([\d.]+) µs a change", COST)),
        *((low, high, 1) for low, high in re.findall(r"(\d+) to (\d+) MB for one stream", COST)),
        *((low, high, 2) for low, high in re.findall(r"(\d+) to (\d+) messages a request", COST)),
    ):
        figures = sorted(float(drain[column]) for drain in drains)
        # Benches are run again more often than guides are written.
        assert float(low) == pytest.approx(figures[0], rel=0.25)
        assert float(high) == pytest.approx(figures[-1], rel=0.25)


def test_what_was_not_run_is_marked() -> None:
    steps = re.findall(r"^## \d\. (.*)$", START, re.MULTILINE)
    assert len(steps) == 7
    assert [step for step in steps if "[not run" not in step] == ["The first event"]


@pytest.mark.parametrize("page", ["protection.md", "enrichment.md", "envelopes.md"])
def test_the_configuration_of_a_transform_loads(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/")
    monkeypatch.setenv("GCP_PROJECT_ID", "some-project")
    monkeypatch.setenv("PROTECTION_KEY", "only-for-this-guide")
    (text,) = blocks((GUIDES / page).read_text(), "yaml")
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert not Runner(str(config)).warnings


def test_the_hash_in_the_guide_is_what_its_recipe_gives() -> None:
    text = (GUIDES / "protection.md").read_text()
    (recipe,) = blocks(text, "python")
    names: dict[str, Any] = {"key": b"only-for-this-guide"}
    exec(recipe.replace("\nhmac.new", "\nfound = hmac.new"), names)  # noqa: S102
    assert text.count(f'"{names["found"]}"') == 2
