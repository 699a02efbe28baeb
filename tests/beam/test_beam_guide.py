"""The blocks of the guide to Beam and of the README run, and what is said of names is so."""

from __future__ import annotations

import ast
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import apache_beam as beam
import pytest
import yaml
from apache_beam.testing.util import assert_that, equal_to
from mongo_gcp_stream.beam import metrics, publishing, read, transform
from mongo_gcp_stream.beam.user_transforms import load_transforms

from tests.support.beam_runner import running
from tests.support.pages import blocks
from tests.support.steps import SECOND, batch, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.beam_runner import PrismServer
    from tests.support.pubsub_fake import Match, PubSubFake
    from tests.support.reading import Shop

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guide" / "beam.md").read_text()
README = (ROOT / "README.md").read_text().partition("## In Apache Beam")[2]
TOPICS = "projects/my-project/topics"


@pytest.fixture
def pubsub(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    for topic in ("shop-changes", "undeliverable", "visits"):
        pubsub.create_topic(f"{TOPICS}/{topic}")
    return pubsub


def names(shop: Shop | None = None) -> dict[str, Any]:
    """What the blocks define, on a mongod and a database of the test's own."""
    found: dict[str, Any] = {}
    exec("\n".join(blocks(PAGE, "python")), found)  # noqa: S102 - what the guide shows
    if shop:
        found.update(URI=shop.mongod.uri, ReadFromMongoDBChangeStream=reading_from(shop))
    return found


def reading_from(shop: Shop) -> Callable[..., beam.PTransform]:
    """The source, on a database of the test's own."""
    own = {"database": shop.database}
    return lambda **given: read.ReadFromMongoDBChangeStream(**{**given, **own})


def pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner")


def test_the_pipeline_runs(shop: Shop, pubsub: PubSubFake, prism: PrismServer) -> None:
    started = beam.Pipeline(options=prism.options())
    names(shop)["orders_to_pubsub"](started)
    orders_arrive(started, shop, pubsub)


def test_the_program_of_the_readme_runs(shop: Shop, pubsub: PubSubFake, prism: PrismServer) -> None:
    started = beam.Pipeline(options=prism.options())
    (program,) = blocks(README, "python")
    *before, run = ast.parse(program).body
    assert isinstance(run, ast.With)
    found: dict[str, Any] = {}
    run_statements(before, found)
    assert "mongodb://" in found["uri"]
    # The block of `with` would wait for the end of a stream that has none.
    found.update(uri=shop.mongod.uri, ReadFromMongoDBChangeStream=reading_from(shop), p=started)
    run_statements(run.body, found)
    orders_arrive(started, shop, pubsub)


def run_statements(statements: list[ast.stmt], found: dict[str, Any]) -> None:
    exec(compile(ast.Module(statements, []), "README.md", "exec"), found)  # noqa: S102 - as above


def orders_arrive(pipeline: beam.Pipeline, shop: Shop, pubsub: PubSubFake) -> None:
    """Run it until orders that are inserted are published."""
    with running(pipeline) as under_way:
        number = iter(range(100_000))

        def arrived() -> bool:
            # It opens at the latest, whenever that is.
            shop.orders.insert_one({"orderNo": next(number)})
            return pubsub.stats()["messages"] > 0

        under_way.eventually(arrived, "an order is published")
    (key,) = {message.ordering_key.split("/")[0] for message in pubsub.messages()}
    assert key == "main.orders"


def test_a_replay_ends(shop: Shop) -> None:
    shop.orders.insert_many([{"orderNo": number} for number in range(5)])
    hello = shop.client.admin.command("hello")
    now = datetime.fromtimestamp(hello["operationTime"].time, tz=timezone.utc)
    with pipeline() as p:
        counted = names(shop)["replay"](p, now - timedelta(minutes=1), now)
        assert_that(counted, equal_to([5]))


def test_dead_letters_go_to_their_topic(pubsub: PubSubFake) -> None:
    refuse_third(pubsub)
    with pipeline() as p:
        names()["with_dead_letters"](p | beam.Create([changes()]))
    sent = [message.topic.rpartition("/")[2] for message in pubsub.messages()]
    assert sorted(sent) == ["shop-changes", "undeliverable", "undeliverable"]


def test_dead_letters_are_counted_by_stage(pubsub: PubSubFake) -> None:
    refuse_third(pubsub)
    with pipeline() as p:
        counted = names()["letters_by_stage"](p | beam.Create([changes()]))
        assert_that(counted, equal_to([("schema", 1), ("rejected", 1)]))


def changes() -> Any:
    """A good order, one that breaks the rule, and one more."""
    return batch(event(1, orderNo=1), event(2, orderNo="two"), event(3, orderNo=3))


def refuse_third(pubsub: PubSubFake) -> None:
    """Refuse the last order of `changes`, and not its dead letter, which has other attributes."""
    last: Match = {"attributes": {"cluster_time": f"{SECOND}.4"}}
    pubsub.fault("status", code="INVALID_ARGUMENT", match=last, times=-1)


def test_visits_keep_their_keys(pubsub: PubSubFake) -> None:
    visits = [{"page": "/", "user": "ann"}, {"page": "/cart", "user": "ann"}]
    with pipeline() as p:
        names()["visits_to_pubsub"](p | beam.Create(visits))
    assert {(sent.data, sent.ordering_key) for sent in pubsub.messages()} == {
        (b"/", "ann"),
        (b"/cart", "ann"),
    }


class AtLeast(beam.PTransform):
    """The transform that the guide's configuration names."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = items


def test_the_transforms_of_the_configuration_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_package.orders", sys.modules[__name__])
    (block,) = blocks(PAGE, "yaml")
    ((label, loaded),) = load_transforms(yaml.safe_load(block)["transforms"])
    assert label == "1 AtLeast"
    assert isinstance(loaded, AtLeast)
    assert loaded.items == 3


def test_the_names_in_its_tables_exist() -> None:
    rows = re.findall(r'^\| `"(\w+)"`', PAGE, re.MULTILINE)
    assert tuple(rows) == get_args(read.Resume)
    table = PAGE.partition("## Metrics")[2].partition("## Runners")[0]
    modules = (metrics, read, publishing, transform)
    sources = [Path(module.__file__ or "").read_text() for module in modules]
    made = set(re.findall(r'(?:counter|distribution)\("(\w+)"\)', "".join(sources)))
    assert set(re.findall(r"`(\w+)`", table)) == made | {"mongo_gcp_stream"}
