"""`WriteToPubSub` on Google's strict fake: all that it takes, in order, and what is refused."""

from __future__ import annotations

import json
import pickle
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from mongo_gcp_stream.beam import WriteToPubSub, publishing
from mongo_gcp_stream.errors import ConfigError, PublishError

from tests.support.steps import (
    LETTERS,
    STREAM,
    TOPIC,
    Step,
    batch,
    batches,
    dropped,
    event,
    messages,
)

if TYPE_CHECKING:
    from tests.support.pubsub_fake import PubSubFake

REFUSED = PubsubMessage(b"refused", {"googness": "not allowed"}, ordering_key="ann")


@pytest.fixture
def pubsub(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    for topic in (TOPIC, LETTERS):
        pubsub.create_topic(topic)
    return pubsub


def publish(transform: beam.PTransform) -> Step:
    return Step(transform, "Publish")


def pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner")


class Ends(PipelineVisitor):
    """Which steps that publish have nothing behind them."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        self._steps: list[Any] = []
        pipeline.visit(self)
        consumed = [main for step in self._steps for main in step.main_inputs.values()]
        publishing = [step for step in self._steps if step.full_label.endswith("/Publish")]
        self.found = [
            step.full_label
            for step in publishing
            if not any(output in consumed for output in step.outputs.values())
        ]

    def visit_transform(self, transform_node: Any) -> None:
        """Called by Beam."""
        self._steps.append(transform_node)


@pytest.mark.parametrize("dead_letter", [None, LETTERS])
def test_on_prism_no_stage_ends_without_an_output(dead_letter: str | None) -> None:
    """It would take a core while a bundle runs; other runners get no step that they do not need."""
    for runner, ends in ((PrismRunner(), 0), ("FnApiRunner", 1)):
        pipeline = beam.Pipeline(runner=runner)
        _ = pipeline | beam.Create([b"1"]) | WriteToPubSub(TOPIC, dead_letter=dead_letter)
        assert len(Ends(pipeline).found) == ends


def keyed(count: int, keys: int = 3) -> list[PubsubMessage]:
    """Messages numbered within each of some ordering keys."""
    return [
        PubsubMessage(
            b"%d" % (number // keys), {"kind": "test"}, ordering_key=f"key{number % keys}"
        )
        for number in range(count)
    ]


def by_key(pubsub: PubSubFake, topic: str = TOPIC) -> dict[str, list[bytes]]:
    """What came to a topic, by ordering key."""
    found = defaultdict(list)
    for message in pubsub.messages():
        if message.topic == topic:
            found[message.ordering_key].append(message.data)
    return found


def assert_orders_in_order(pubsub: PubSubFake, count: int) -> None:
    """Every order once, those of a document's lane as they were written."""
    lanes = defaultdict(list)
    for message in pubsub.messages():
        lanes[message.ordering_key].append(json.loads(message.data)["fullDocument"]["_id"])
    assert sorted(number for lane in lanes.values() for number in lane) == list(range(count))
    assert len(lanes) > 1
    assert all(lane == sorted(lane) for lane in lanes.values())


@pytest.mark.parametrize("kind", ["messages", "changes", "events"])
def test_what_our_transforms_give_is_published_in_order(kind: str, pubsub: PubSubFake) -> None:
    changes = batches(20)
    elements: dict[str, list[Any]] = {
        "messages": messages(*changes),
        "changes": changes,
        "events": [event for batch in changes for event in batch],
    }
    assert publish(WriteToPubSub(TOPIC)).bundle(*elements[kind]) == []
    assert_orders_in_order(pubsub, 200)
    assert pubsub.stats()["distinct_event_ids"] == 200


def test_bytes_and_messages_of_beam_are_published_with_their_keys(pubsub: PubSubFake) -> None:
    publish(WriteToPubSub(TOPIC)).bundle(b"alone", *keyed(600), PubsubMessage(None, {"a": "b"}))
    found = by_key(pubsub)
    assert sorted(found.pop("")) == [b"", b"alone"]
    numbers = [b"%d" % number for number in range(200)]
    assert found == {"key0": numbers, "key1": numbers, "key2": numbers}
    assert pubsub.stats()["requests"] < 60
    assert {"kind": "test"} in [message.attributes for message in pubsub.messages()]


def test_keys_can_be_given(pubsub: PubSubFake) -> None:
    publish(WriteToPubSub(TOPIC, ordering_key="all")).bundle(b"1", b"2")
    publish(WriteToPubSub(TOPIC, ordering_key=lambda data: data[:1].decode())).bundle(b"x1", b"x2")
    assert by_key(pubsub) == {"all": [b"1", b"2"], "x": [b"x1", b"x2"]}


def test_bundle_after_bundle_by_the_same_writer(pubsub: PubSubFake) -> None:
    step = publish(WriteToPubSub(TOPIC))
    for changes in batches(5):
        step.bundle(changes)
    assert_orders_in_order(pubsub, 50)


def test_several_streams_in_a_bundle(pubsub: PubSubFake) -> None:
    one, other = batches(2, stream="main.orders"), batches(2, stream="main.carts")
    publish(WriteToPubSub(TOPIC)).bundle(one[0], other[0], one[1], b"more", other[1])
    streams = {message.ordering_key.split("/")[0] for message in pubsub.messages()}
    assert streams == {"main.orders", "main.carts", ""}
    assert pubsub.stats()["messages"] == 41


def config(**sections: Any) -> dict[str, Any]:
    sources = {
        "orders": {"database": "shop", "collection": "orders", "topic": "default"},
        "carts": {"database": "shop", "collection": "carts", "topic": "letters"},
    }
    topics = {"default": {"name": "orders"}, "letters": {"name": "letters"}}
    return {
        "mongodb": {"connections": {"main": {"uri": "mongodb://nowhere", "sources": sources}}},
        "gcp": {"project_id": "demo"},
        "pubsub": {"topics": topics},
        **sections,
    }


def test_a_configuration_tells_each_stream_its_topic(pubsub: PubSubFake) -> None:
    one, other = batches(1, stream="main.orders"), batches(1, 7, stream="main.carts")
    publish(WriteToPubSub(config=config())).bundle(*one, *other)
    sent = [message.topic for message in pubsub.messages()]
    assert (sent.count(TOPIC), sent.count(LETTERS)) == (10, 7)


def test_a_topic_goes_before_those_of_a_configuration(pubsub: PubSubFake) -> None:
    made = messages(*batches(1, stream="main.carts"), config=config())
    publish(WriteToPubSub(TOPIC, config=config())).bundle(*made, b"more")
    assert [message.topic for message in pubsub.messages()] == [TOPIC] * 11


def test_what_drops_a_collection_is_in_order_with_all_others(pubsub: PubSubFake) -> None:
    around = batch(*(event(number) for number in range(20)), dropped(20), event(21))
    publish(WriteToPubSub(TOPIC)).bundle(around)
    operations = [message.attributes["operation"] for message in pubsub.messages()]
    assert operations == ["insert"] * 20 + ["drop", "insert"]


def test_an_outage_is_waited_out(pubsub: PubSubFake) -> None:
    pubsub.fault("status", code="UNAVAILABLE", times=-1)
    step = publish(WriteToPubSub(TOPIC))
    bundle = threading.Thread(target=step.bundle, args=(*batches(5), b"more"))
    bundle.start()
    pubsub.wait(faults=10)
    assert bundle.is_alive()
    pubsub.down()
    pubsub.clear_faults()
    pubsub.up()
    bundle.join()
    assert pubsub.stats()["messages"] == 51


@pytest.mark.parametrize("refused", [REFUSED, PubsubMessage(b"x" * 10_500_000, {})])
def test_a_refused_message_fails_its_bundle_and_no_other(
    refused: PubsubMessage, pubsub: PubSubFake
) -> None:
    step = publish(WriteToPubSub(TOPIC))
    with pytest.raises(PublishError, match=r"beam\.messages: not published: .* `dead_letter`"):
        step.bundle(b"before", refused)
    pubsub.reset()
    step.bundle(b"after")
    assert [message.data for message in pubsub.messages()] == [b"after"]


def test_a_missing_topic_fails_the_bundle(pubsub: PubSubFake) -> None:
    step = publish(WriteToPubSub("projects/demo/topics/missing"))
    with pytest.raises(PublishError, match="projects/demo/topics/missing does not exist") as failed:
        step.bundle(*batches(1))
    assert failed.value.hint
    assert not pubsub.messages()


def test_what_failed_is_given_up_and_its_writer_with_it(pubsub: PubSubFake) -> None:
    step = publish(WriteToPubSub(TOPIC))
    step.bundle(*batches(2))
    pubsub.fault("status", code="PERMISSION_DENIED")
    with pytest.raises(PublishError, match="not allowed"):
        step.bundle(*batches(2))
    pubsub.reset()
    step.bundle(*batches(2))
    assert_orders_in_order(pubsub, 20)


def test_large_elements_are_handed_over_before_the_bundle_ends(pubsub: PubSubFake) -> None:
    step = publish(WriteToPubSub(TOPIC))
    step.dofn.start_bundle()
    for _ in range(3):
        step.process(b"x" * (publishing.CHUNK_BYTES // 2))
    pubsub.wait(messages=2)
    step.dofn.finish_bundle()
    assert pubsub.stats()["messages"] == 3


def test_dead_letters_go_to_a_topic_and_the_others_go_on(pubsub: PubSubFake) -> None:
    with pipeline() as p:
        p | beam.Create([*keyed(6), REFUSED]) | WriteToPubSub(TOPIC, dead_letter=LETTERS)
    assert sum(map(len, by_key(pubsub).values())) == 6
    (letter,) = by_key(pubsub, LETTERS)[""]
    content = json.loads(letter)
    assert content["message"]["attributes"] == {"googness": "not allowed"}
    assert (content["stage"], content["message"]["ordering_key"]) == ("publish", "ann")


def test_dead_letters_of_changes_come_out_apart_in_any_window(pubsub: PubSubFake) -> None:
    pubsub.fault(
        "status", code="INVALID_ARGUMENT", match={"data_contains": '"customer":3,'}, times=-1
    )
    elements = [TimestampedValue(batch, at) for at, batch in enumerate(messages(*batches(3)))]
    with pipeline() as p:
        windows = (
            p | beam.Create(elements) | beam.Map(lambda it: it) | beam.WindowInto(FixedWindows(1))
        )
        written = windows | WriteToPubSub(TOPIC).with_dead_letter()
        assert written._fields == ("published", "dead_letters")
        letters = written.dead_letters | beam.Map(told) | beam.combiners.ToList()
        assert_that(letters, lambda found: found == [[f"{STREAM}: 3"] * 4])
    assert pubsub.stats()["messages"] == 26


def told(letter: PubsubMessage) -> str:
    document = json.loads(json.loads(letter.data)["message"]["data"])["fullDocument"]
    return f"{letter.attributes['stream']}: {document['customer']}"


def test_dead_letters_of_a_configuration_go_where_it_says(pubsub: PubSubFake) -> None:
    whole = config(dead_letter={"topic": "letters"})
    step = publish(WriteToPubSub(TOPIC, config=whole))
    assert step.bundle(REFUSED, b"good") == []
    assert by_key(pubsub)[""] == [b"good"]
    assert len(by_key(pubsub, LETTERS)[""]) == 1


def test_dead_letters_of_the_transform_need_a_place(pubsub: PubSubFake) -> None:
    rules = {STREAM: {"n": {"type": "string"}}}
    made = messages(batch(event(1, n=1)), config=config(schemas=rules, dead_letter={"file": {}}))
    with pytest.raises(PublishError, match="Give WriteToPubSub a `dead_letter`"):
        publish(WriteToPubSub(TOPIC)).bundle(*made)
    (letter,) = publish(WriteToPubSub(TOPIC, dead_letter=LETTERS)).bundle(*made)
    assert letter.tag == "dead_letters"
    assert not pubsub.messages()


def test_it_counts(pubsub: PubSubFake) -> None:
    pubsub.fault("status", code="UNAVAILABLE")
    p = pipeline()
    _ = p | beam.Create([*keyed(6), REFUSED]) | WriteToPubSub(TOPIC).with_dead_letter()
    found = p.run().metrics().query()
    counters = {it.key.metric.name: it.committed for it in found["counters"]}
    assert counters["messages_published"] == pubsub.stats()["messages"] == 6
    assert counters["publish_requests"] == pubsub.stats()["requests"]
    assert counters["publish_retries"] >= 1
    assert counters["dead_lettered"] == 1
    names = {it.key.metric.name: it.committed for it in found["distributions"]}
    assert names["publish_latency_ms"].count >= 1
    assert names["batch_size"].sum == 7


@pytest.mark.parametrize("ordered", [False, True])
def test_it_counts_what_breaks_a_rule(pubsub: PubSubFake, ordered: bool) -> None:
    rules = {STREAM: {"n": {"type": "string"}}}
    whole = config(schemas=rules, dead_letter={"topic": "letters"})
    p = pipeline()
    changes = p | beam.Create([batch(event(1, n="1"), event(2, n=2), event(3, n=3))])
    changes | WriteToPubSub(config=whole, ordered=ordered)
    found = p.run().metrics().query()
    counters = {it.key.metric.name: it.committed for it in found["counters"]}
    assert counters["invalid"] == 2
    assert counters["dead_lettered"] == 2
    assert len([message for message in pubsub.messages() if message.topic == LETTERS]) == 2


def test_a_pipeline_of_beam_changes_its_import_alone(pubsub: PubSubFake) -> None:
    with pipeline() as p:
        p | "some" >> beam.Create([b"1", b"2"]) | "plain" >> WriteToPubSub(TOPIC)
        p | beam.Create(keyed(3)) | WriteToPubSub(TOPIC, with_attributes=True)
    assert pubsub.stats()["messages"] == 5


def test_order_in_lanes_survives_a_reshuffle_within_batches(pubsub: PubSubFake) -> None:
    (whole,) = messages(*batches(1, 200))
    with pipeline() as p:
        p | beam.Create([whole]) | beam.Reshuffle() | WriteToPubSub(TOPIC)
    assert_orders_in_order(pubsub, 200)


@pytest.mark.parametrize("pickled", [pickle, pickler])
def test_it_can_be_pickled(pickled: Any, pubsub: PubSubFake) -> None:
    publish(pickled.loads(pickled.dumps(WriteToPubSub(TOPIC)))).bundle(b"1")
    assert pubsub.stats()["messages"] == 1


@pytest.mark.parametrize("element", ["text", 7, {"n": 1}, None])
def test_what_cannot_be_published_is_told(element: Any, pubsub: PubSubFake) -> None:
    with pytest.raises(TypeError, match=f"takes MessageBatch, .* not {type(element).__name__}"):
        publish(WriteToPubSub(TOPIC)).bundle(element)
    with pytest.raises(TypeError, match="ordering_key: it made int of an element"):
        publish(WriteToPubSub(TOPIC, ordering_key=cast("Any", len))).bundle(b"1")
    assert not pubsub.messages()


def test_bytes_need_a_topic() -> None:
    with pytest.raises(ConfigError, match="topic: missing: bytes and PubsubMessage"):
        publish(WriteToPubSub(config=config())).bundle(b"1")


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({}, "topic"),
        ({"topic": "orders"}, "topic"),
        ({"topic": "projects/demo/subscriptions/orders"}, "topic"),
        ({"topic": 7}, "topic"),
        ({"topic": "projects/a b/topics/orders"}, "topic"),
        ({"topic": "projects/demo/topics/t"}, "topic"),
        ({"topic": "projects/demo/topics/x-{collection}"}, "topic"),
        ({"topic": "projects/demo/topics/${HOME}"}, "topic"),
        ({"topic": TOPIC, "dead_letter": "projects/demo/topics/1"}, "dead_letter"),
        ({"topic": TOPIC, "ordering_key": 7}, "ordering_key"),
        ({"topic": TOPIC, "dead_letter": "letters"}, "dead_letter"),
        ({"topic": TOPIC, "dead_letter": print}, "dead_letter"),
        ({"config": {"mongodb": config()["mongodb"]}}, "gcp"),
    ],
)
def test_what_is_wrong_is_told_at_once(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError, match=path) as wrong:
        WriteToPubSub(**arguments)
    assert wrong.value.path == path


def test_dead_letters_have_one_way() -> None:
    with pytest.raises(ConfigError, match="given already"):
        WriteToPubSub(TOPIC, dead_letter=LETTERS).with_dead_letter()
