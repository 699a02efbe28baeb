"""`WriteToPubSub(ordered=True)`: for a key the order of arrival is kept, across bundles."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from mongo_gcp_stream.beam import WriteToPubSub
from mongo_gcp_stream.errors import PublishError

from tests.beam.ticker import Ticker
from tests.support.beam_runner import running
from tests.support.steps import LETTERS, TOPIC, Step, batches, messages

if TYPE_CHECKING:
    from tests.support.beam_runner import PrismServer
    from tests.support.pubsub_fake import PubSubFake

KEYS = 3


@pytest.fixture
def pubsub(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    for topic in (TOPIC, LETTERS):
        pubsub.create_topic(topic)
    return pubsub


def numbered(tick: int, each: int = 10) -> list[PubsubMessage]:
    """What one tick brings: messages numbered on, within each of some ordering keys."""
    numbers = range(tick * each, (tick + 1) * each)
    return [
        PubsubMessage(b"%d" % number, {}, ordering_key=f"key{key}")
        for number in numbers
        for key in range(KEYS)
    ]


def by_key(pubsub: PubSubFake) -> dict[str, list[int]]:
    """The numbers that came, by ordering key, each at its first occurrence."""
    found: dict[str, dict[int, None]] = defaultdict(dict)
    for message in pubsub.messages():
        if message.topic == TOPIC:
            found[message.ordering_key][int(message.data)] = None
    return {key: list(numbers) for key, numbers in found.items()}


def in_order(count: int) -> dict[str, list[int]]:
    return {f"key{key}": list(range(count)) for key in range(KEYS)}


def test_the_bundles_of_a_key_go_one_after_the_other(
    prism: PrismServer, pubsub: PubSubFake
) -> None:
    """While one is held up, the source gives more."""
    pubsub.fault("delay", match={"ordering_key": "key1"}, delay_ms=60_000)
    pubsub.fault("status", code="UNAVAILABLE", match={"ordering_key": "key2"}, times=5)
    pipeline = beam.Pipeline(options=prism.options())
    ticks = pipeline | beam.Create(["clock"]) | beam.ParDo(Ticker(20))
    ticks | beam.FlatMap(numbered) | WriteToPubSub(TOPIC, ordered=True)
    with running(pipeline) as started:
        started.eventually(lambda: pubsub.stats()["faults"] >= 2, "a request is held up")
        pubsub.clear_faults()
        started.eventually(lambda: pubsub.stats()["messages"] >= 600, "all are there")
    assert by_key(pubsub) == in_order(200)
    assert pubsub.stats()["max_in_flight_per_key"] == 1


def run(elements: list[Any], **arguments: Any) -> None:
    with beam.Pipeline(runner="FnApiRunner") as p:
        p | beam.Create(elements, reshuffle=False) | WriteToPubSub(TOPIC, ordered=True, **arguments)


def test_what_is_put_together_stays_in_order(pubsub: PubSubFake) -> None:
    run([message for tick in range(200) for message in numbered(tick)])
    assert by_key(pubsub) == in_order(2000)
    assert pubsub.stats()["requests"] < 60


def test_a_key_can_be_given(pubsub: PubSubFake) -> None:
    run([b"%d" % number for number in range(50)], ordering_key="key")
    assert by_key(pubsub) == {"key": list(range(50))}


def test_a_stream_is_in_order_as_a_whole(pubsub: PubSubFake) -> None:
    changes = batches(10)
    run([*messages(*changes[:5]), *changes[5:]])
    lanes = defaultdict(list)
    for message in pubsub.messages():
        lanes[message.ordering_key].append(message.attributes["cluster_time"])
    assert sum(map(len, lanes.values())) == 100
    for lane in lanes.values():
        ordinals = [int(time.split(".")[1]) for time in lane]
        assert ordinals == sorted(ordinals)


def test_what_is_refused_becomes_a_dead_letter(pubsub: PubSubFake) -> None:
    refused = PubsubMessage(b"9", {"googness": "not allowed"}, ordering_key="key0")
    run([*numbered(0), refused, *numbered(1)], dead_letter=LETTERS)
    assert by_key(pubsub) == in_order(20)
    assert [message.topic for message in pubsub.messages()].count(LETTERS) == 1


def test_every_message_needs_a_key() -> None:
    step = Step(WriteToPubSub(TOPIC, ordered=True), "ByLane")
    with pytest.raises(PublishError, match="an element has no ordering key"):
        step.bundle(b"1")


def test_much_data_is_not_kept_until_the_bundle_ends() -> None:
    step = Step(WriteToPubSub(TOPIC, ordered=True, ordering_key="key"), "ByLane")
    step.dofn.start_bundle()
    outputs = [len(step.process(b"x" * 3_000_000)) for _ in range(6)]
    assert outputs == [0, 0, 1, 0, 0, 1]
    assert list(step.dofn.finish_bundle()) == []
