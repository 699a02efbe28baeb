"""`WriteToPubSub`: what it keeps in memory, and what it does not send without its data."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import claim_check
from mongo_gcp_stream.beam import WriteToPubSub
from mongo_gcp_stream.errors import PublishError

from tests.support.steps import TOPIC, Step, batch, event, messages
from tests.support.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.pubsub_fake import PubSubFake

LIMIT = 1_000_000
IN_FLIGHT = 4 * LIMIT
SIZE = 100_000
COUNT = 60


@pytest.fixture
def pubsub(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    pubsub.create_topic(TOPIC)
    return pubsub


def config(oversize: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    orders = {"database": "shop", "collection": "orders", "oversize": oversize or {}}
    return {
        "mongodb": {
            "connections": {"main": {"uri": "mongodb://nowhere", "sources": {"orders": orders}}}
        },
        "gcp": {"project_id": "demo"},
        "pubsub": {"topics": {"default": {"name": "orders"}}},
        **sections,
    }


def elements(kind: str) -> list[Any]:
    """More than may be in flight, in elements that may be."""
    if kind == "bytes":
        return [b"%06d" % number + b"x" * SIZE for number in range(COUNT)]
    return messages(*(batch(event(number, text="x" * SIZE)) for number in range(COUNT)))


@pytest.mark.parametrize("kind", ["messages", "bytes"])
def test_a_bundle_over_the_limit_waits_while_pubsub_does(
    kind: str, pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mongo_gcp_stream.beam.publishing.CHUNK_BYTES", SIZE)
    step = Step(WriteToPubSub(TOPIC, config=config(flow={"bytes_in_flight": LIMIT})), "Publish")
    made = elements(kind)
    outstanding: list[int] = []

    def bundle() -> None:
        step.dofn.start_bundle()
        for number, element in enumerate(made, 1):
            step.process(element)
            outstanding.append(number * SIZE - pubsub.stats()["bytes"])
        step.dofn.finish_bundle()

    pubsub.fault("delay", delay_ms=PATIENCE_SECONDS * 1000, times=-1)
    publishing = threading.Thread(target=bundle)
    publishing.start()
    pubsub.wait(attempts=1)
    pubsub.clear_faults()
    publishing.join(PATIENCE_SECONDS)
    assert len(outstanding) == COUNT
    assert max(outstanding) <= IN_FLIGHT + SIZE
    assert pubsub.stats()["messages"] == COUNT


def test_one_message_over_the_limit_gets_through(pubsub: PubSubFake) -> None:
    step = Step(WriteToPubSub(TOPIC, config=config(flow={"bytes_in_flight": 1000})), "Publish")
    step.bundle(b"x" * 50_000, b"y" * 50_000, *elements("bytes"))
    assert pubsub.stats()["messages"] == COUNT + 2


def test_whoever_waits_is_told_that_nothing_is_taken_any_more(pubsub: PubSubFake) -> None:
    pubsub.fault("status", code="PERMISSION_DENIED", times=-1)
    step = Step(WriteToPubSub(TOPIC, config=config(flow={"bytes_in_flight": LIMIT})), "Publish")
    made = elements("messages")
    step.dofn.start_bundle()

    def process() -> None:
        for element in made:
            step.process(element)

    with pytest.raises(PublishError, match="not allowed"):
        process()


def test_a_reference_is_not_published_without_what_it_refers_to(
    pubsub: PubSubFake, tmp_path: Path
) -> None:
    place = {"url": tmp_path.joinpath("large").as_uri()}
    oversize = {"policy": "claim_check", "limit": "100kB", "claim_check": place}
    large = batch(event(1, text="x" * 2 * SIZE))
    made = messages(large, config=config(oversize))
    with pytest.raises(PublishError, match="Give WriteToPubSub the `config`"):
        Step(WriteToPubSub(TOPIC), "Publish").bundle(*made)
    assert not pubsub.messages()
    Step(WriteToPubSub(TOPIC, config=config(oversize)), "Publish").bundle(*made)
    (message,) = pubsub.messages()
    assert b"x" * 2 * SIZE in claim_check.restore(message.data)
