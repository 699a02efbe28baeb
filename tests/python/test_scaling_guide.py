"""What the guides to scaling and to Dataflow compute is right, and what they name is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream import Runner, load_config
from mongo_gcp_stream.beam import read
from mongo_gcp_stream.config import Config

if TYPE_CHECKING:
    from mongo_gcp_stream.testing import Mongod

ROOT = Path(__file__).resolve().parents[2]
SCALING = (ROOT / "docs" / "guide" / "scaling.md").read_text()
ANY = {"orders": {"database": "shop", "collection": "orders"}}
DATAFLOW = (ROOT / "docs" / "guide" / "dataflow.md").read_text()


def numbers(row: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*", row)]


def rows(text: str, heading: str) -> list[str]:
    """The rows of the table whose head begins so."""
    table = text.partition(f"| {heading} ")[2].partition("\n\n")[0]
    return table.split("\n")[2:]


def server(streams: float) -> float:
    """Microseconds of the server for each event written."""
    return 3.3 + 4.7 * streams


def test_the_formula_gives_what_was_measured() -> None:
    table = rows(SCALING, "streams on one collection | µs of the server")
    assert [numbers(row)[0] for row in table] == [1, 2, 4]
    for row in table:
        streams, measured, modelled = numbers(row)
        assert modelled == pytest.approx(server(streams), abs=0.05)
        assert modelled == pytest.approx(measured, rel=0.03)


def test_the_rates_follow_from_the_formula() -> None:
    table = rows(SCALING, "streams on one collection | 1 idle core")
    assert len(table) == 4
    for row in table:
        streams, *rates = numbers(row)
        most = 1e6 / (4.7 + 3.3 / streams)
        expected = [min(most, cores * 1e6 / server(streams)) for cores in (1, 2, 4, 8)]
        assert rates == pytest.approx(expected, rel=0.02)


def test_the_cost_of_a_bundle_is_computed_right() -> None:
    table = rows(SCALING, "`streaming.batch_size`")
    assert len(table) == 5
    for row in table:
        size, rate, share = numbers(row)
        seconds = 3.6e-3 + size / 45_000
        assert rate == pytest.approx(size / seconds, rel=0.02)
        assert share == pytest.approx(3.6e-3 / seconds * 100, abs=0.5)
    (default,) = [numbers(row)[0] for row in table if "(default)" in row]
    config = {"mongodb": {"connections": {"main": {"uri": "mongodb://nowhere", "sources": ANY}}}}
    assert default == Config.of(config).get("streaming.batch_size") == read.BATCH_SIZE


def test_the_shares_load_and_part_the_documents(
    tmp_path: Path, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", mongod.uri)
    monkeypatch.setenv("GCP_PROJECT_ID", "some-project")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", SCALING, re.DOTALL | re.MULTILINE)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert not Runner(str(path)).warnings
    sources = load_config(path).to_dict()["mongodb"]["connections"]["main"]["sources"]
    with mongod.client() as client:
        orders = client.shares.orders
        streams = [
            orders.watch(source["pipeline"], max_await_time_ms=100) for source in sources.values()
        ]
        orders.insert_many([{"_id": number} for number in range(100)])
        shares: list[list[int]] = [[] for _ in streams]
        while sum(map(len, shares)) < 100:
            for share, stream in zip(shares, streams, strict=True):
                while (event := stream.try_next()) is not None:
                    share.append(event["documentKey"]["_id"])
    assert len(shares) == 2
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == list(range(100))


def test_the_parameters_of_the_template_are_explained() -> None:
    metadata = json.loads((ROOT / "docker" / "metadata.json").read_text())
    names = {parameter["name"] for parameter in metadata["parameters"]}
    explained = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in rows(DATAFLOW, "parameter")]
    assert {name for row in explained for name in row} == names
    given = re.findall(r"(?:--parameters |,)(\w+)=", DATAFLOW)
    assert set(given) <= names
    assert {"mongodb_uri", "output_topic", "checkpoint"} <= set(given)


def test_what_is_computed_from_prices_is_computed_right() -> None:
    worker, disk, *_ = rows(DATAFLOW, "| a month")
    vcpu, memory = 0.069, 0.003557
    assert f"${vcpu} a vCPU hour, ${memory} a GB hour" in worker
    assert f"| ${round(730 * (vcpu + 3.75 * memory))} |" in worker
    assert f"| ${round(730 * 30 * 0.000054)} |" in disk


def test_what_has_not_met_the_cloud_is_marked() -> None:
    steps = re.split(r"^## \d+\. ", DATAFLOW, flags=re.MULTILINE)[1:]
    unmarked = [step.partition("\n")[0] for step in steps if "[not run]" not in step]
    assert unmarked == ["The same with Terraform", "What it costs"]
    assert "never planned or applied" in DATAFLOW


def test_the_errors_that_are_named_are_those_of_the_core() -> None:
    table = rows(DATAFLOW, "what you see")
    named = [name for row in table for name in re.findall(r"`((?:[a-z]+ ){2,}[a-z]+)`", row)]
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    assert len(named) == 3
    assert not [name for name in named if name not in source]
