"""`ValidateAndEnrich`: what it makes of batches and events, and what becomes of the others."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.coders import registry
from apache_beam.internal import pickler
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.testing.util import assert_that, equal_to
from mongo_gcp_stream.beam import ChangeEvent, MessageBatch, ValidateAndEnrich, WriteToPubSub
from mongo_gcp_stream.beam.elements import ChangeEventCoder, _ElementCoder
from mongo_gcp_stream.errors import ConfigError, StreamFailedError

from tests.support.steps import LETTERS, STREAM, TOPIC, Step, batch, batches, event, messages

if TYPE_CHECKING:
    from tests.support.pubsub_fake import PubSubFake

RULES = {STREAM: {"n": {"type": "number", "required": True}}}
GOOD, BAD = event(1, n=1), event(2, n="none")


@pytest.fixture
def pubsub(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    for topic in (TOPIC, LETTERS):
        pubsub.create_topic(topic)
    return pubsub


def pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner")


def to_topic(pubsub: PubSubFake, topic: str) -> list[Any]:
    return [json.loads(sent.data) for sent in pubsub.messages() if sent.topic == topic]


def test_a_batch_becomes_the_messages_of_its_events() -> None:
    (made,) = messages(batch(GOOD, BAD))
    assert (len(made), made.stream, made.invalid, made.letters) == (2, STREAM, 0, 0)


def test_an_event_becomes_a_message() -> None:
    (made,) = Step(ValidateAndEnrich(), "Apply").process(batch(GOOD)[0])
    (in_batch,) = messages(batch(GOOD))
    assert made.nbytes == in_batch.nbytes


def test_the_size_of_an_element_is_estimated_without_writing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    several = batch(*(event(number, text="x" * 1000) for number in range(20)))
    elements = [several, several[0], *messages(several)]
    coders = [registry.get_coder(type(element)) for element in elements]
    written = [len(coder.encode(it)) for coder, it in zip(coders, elements, strict=True)]
    monkeypatch.setattr(_ElementCoder, "encode", None)
    monkeypatch.setattr(ChangeEventCoder, "encode", None)
    estimated = [coder.estimate_size(it) for coder, it in zip(coders, elements, strict=True)]
    assert estimated == pytest.approx(written, rel=0.2)


def test_what_breaks_a_rule_fails_its_bundle_and_no_other() -> None:
    step = Step(ValidateAndEnrich(schemas=RULES), "Apply")
    with pytest.raises(StreamFailedError, match=r"main\.orders: n: type number") as failed:
        step.process(batch(GOOD, BAD))
    assert "none" not in str(failed.value)
    assert len(step.process(batch(GOOD))) == 1


@pytest.mark.parametrize(("on_invalid", "made"), [("drop", 1), ("pass", 2)])
def test_what_breaks_a_rule_is_left_out_or_passes(on_invalid: str, made: int) -> None:
    options = {"validation": {"on_invalid": on_invalid}}
    (kept,) = messages(batch(GOOD, BAD), schemas=RULES, options=options)
    assert (len(kept), kept.invalid, kept.skipped) == (made, 1, 2 - made)


def test_dead_letters_come_out_apart() -> None:
    with pipeline() as p:
        changes = p | beam.Create([batch(GOOD, BAD), batch(BAD)])
        validated = changes | ValidateAndEnrich(schemas=RULES).with_dead_letter()
        assert validated._fields == ("messages", "dead_letters")
        lengths = validated.messages | beam.Map(len)
        letters = validated.dead_letters | beam.Map(told)
        assert_that(lengths, equal_to([1]), label="messages")
        letter = ("validate", 2, "shop.orders", STREAM)
        assert_that(letters, equal_to([letter, letter]), label="letters")


def told(letter: PubsubMessage) -> tuple[str, int, str, str]:
    assert isinstance(letter, PubsubMessage)
    content = json.loads(letter.data)
    document = content["event"]["fullDocument"]
    return content["stage"], document["_id"], content["namespace"], letter.attributes["stream"]


def omitted(number: int) -> dict[str, Any]:
    """The event of a document that MongoDB cannot return."""
    return {**event(number), "fullDocument": None, "documentsOmitted": True}


def test_an_event_without_its_documents_stays_one_between_stages() -> None:
    carried = batch(omitted(7))[0]
    assert carried.documents_omitted
    assert not batch(GOOD)[0].documents_omitted
    with pipeline() as p:
        events = p | beam.Create([carried]).with_output_types(ChangeEvent) | beam.Reshuffle()
        validated = events | ValidateAndEnrich().with_dead_letter()
        reasons = validated.dead_letters | beam.Map(lambda letter: reason(letter.data))
        assert_that(validated.messages, equal_to([]), label="messages")
        assert_that(reasons, equal_to(["oversize"]), label="letters")


def reason(letter: bytes) -> str:
    text: str = json.loads(letter)["reason"]
    return text.partition(":")[0]


def test_dead_letters_go_to_a_topic(pubsub: PubSubFake) -> None:
    with pipeline() as p:
        changes = p | beam.Create([batch(GOOD, BAD)])
        valid = changes | ValidateAndEnrich(schemas=RULES, dead_letter=LETTERS)
        valid | WriteToPubSub(TOPIC)
    assert len(to_topic(pubsub, TOPIC)) == 1
    (letter,) = to_topic(pubsub, LETTERS)
    assert (letter["stage"], letter["path"]) == ("validate", "n")


def test_dead_letters_go_where_a_transform_takes_them(pubsub: PubSubFake) -> None:
    own = beam.Map(lambda letter: b"own " + letter.data) | WriteToPubSub(LETTERS)
    with pipeline() as p:
        p | beam.Create([batch(BAD)]) | ValidateAndEnrich(schemas=RULES, dead_letter=own)
    (letter,) = pubsub.messages()
    assert letter.data.startswith(b"own {")


def config(**sections: Any) -> dict[str, Any]:
    sources = {"orders": {"database": "shop", "collection": "orders"}}
    return {
        "mongodb": {"connections": {"main": {"uri": "mongodb://nowhere", "sources": sources}}},
        "gcp": {"project_id": "demo"},
        "pubsub": {"topics": {"default": {"name": "orders"}, "letters": {"name": "letters"}}},
        **sections,
    }


def test_dead_letters_of_a_configuration_go_where_it_says(pubsub: PubSubFake) -> None:
    whole = config(schemas=RULES, dead_letter={"topic": "letters"})
    with pipeline() as p:
        changes = p | beam.Create([batch(GOOD, BAD)])
        changes | ValidateAndEnrich(whole) | WriteToPubSub(config=whole)
    assert len(to_topic(pubsub, TOPIC)) == len(to_topic(pubsub, LETTERS)) == 1


def test_an_argument_goes_before_the_dead_letters_of_a_configuration() -> None:
    whole = config(schemas=RULES, dead_letter={"topic": "letters"})
    with pipeline() as p:
        changes = p | beam.Create([batch(BAD)])
        validated = changes | ValidateAndEnrich(whole).with_dead_letter()
        assert_that(validated.dead_letters | beam.Map(told), lambda found: len(found) == 1)


def test_it_counts() -> None:
    p = pipeline()
    changes = p | beam.Create([batch(GOOD, BAD), batch(GOOD)])
    changes | ValidateAndEnrich(schemas=RULES).with_dead_letter()
    found = p.run().metrics().query()
    counters = {it.key.metric.name: it.committed for it in found["counters"]}
    assert counters | {"invalid": 1, "dead_lettered": 1} == counters
    sizes = next(it for it in found["distributions"] if it.key.metric.name == "batch_size")
    assert (sizes.committed.sum, sizes.committed.count) == (3, 2)


def test_what_is_dropped_is_counted() -> None:
    p = pipeline()
    options = {"validation": {"on_invalid": "drop"}}
    changes = p | beam.Create([batch(GOOD, BAD)])
    changes | ValidateAndEnrich(schemas=RULES, options=options)
    found = p.run().metrics().query()["counters"]
    counters = {it.key.metric.name: it.committed for it in found}
    assert counters | {"invalid": 1, "skipped": 1} == counters


def test_elements_survive_between_stages() -> None:
    made = messages(*batches(3))
    with pipeline() as p:
        there = p | beam.Create(made) | beam.Reshuffle() | beam.Map(MessageBatch.to_bytes)
        assert_that(there, equal_to([batch.to_bytes() for batch in made]))


def test_an_event_survives_between_stages() -> None:
    with pipeline() as p:
        events = p | beam.Create([batch(GOOD)[0]]).with_output_types(ChangeEvent)
        ids = events | beam.Reshuffle() | beam.Map(lambda event: event.event_id)
        assert_that(ids, equal_to([batch(GOOD)[0].event_id]))


@pytest.mark.parametrize("pickled", [pickle, pickler])
def test_it_can_be_pickled(pickled: Any) -> None:
    transform = pickled.loads(pickled.dumps(ValidateAndEnrich(schemas=RULES)))
    with pytest.raises(StreamFailedError):
        Step(transform, "Apply").process(batch(BAD))


def test_what_is_no_change_is_told() -> None:
    with pytest.raises(TypeError, match=r"expected ChangeBatch or ChangeEvent, .* not dict"):
        Step(ValidateAndEnrich(), "Apply").process({"n": 1})


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"schemas": {STREAM: {"n": {"type": "numbr"}}}}, f"schemas.{STREAM}.n.type"),
        ({"schemas": {"orders": {}}}, "schemas.orders"),
        ({"config": config(), "schemas": RULES}, "config"),
        ({"schemas": ["a"]}, "schemas"),
        ({"schemas": {STREAM: 5}}, f"schemas.{STREAM}"),
        ({"options": ["a"]}, "options"),
        ({"dead_letter": "letters"}, "dead_letter"),
        ({"dead_letter": 7}, "dead_letter"),
    ],
)
def test_what_is_wrong_is_told_at_once(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError, match=path) as wrong:
        ValidateAndEnrich(**arguments)
    assert wrong.value.path == path


def test_dead_letters_have_one_way() -> None:
    with pytest.raises(ConfigError, match="given already"):
        ValidateAndEnrich(dead_letter=LETTERS).with_dead_letter()
