"""`PubSubSink`: messages of one's own, with ids, in order for each key, whatever fails."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pickle
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, ObjectId
from mongo_gcp_stream.errors import (
    ConfigError,
    PublishError,
    PublishTimeoutError,
    PubSubSinkError,
    TopicNotFoundError,
)
from mongo_gcp_stream.sink import PubSubSink

from tests.support.pubsub_fake import PubSubFake
from tests.support.sinks import KEYED, PROJECT, TOPIC, arrived, embedded, first_numbers, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongo_gcp_stream.testing import Emulator

SECRET = "4111-1111"  # noqa: S105 - a value that no error may show


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The embedded Pub/Sub."""
    with embedded(monkeypatch) as emulator:
        yield emulator


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSubFake]:
    """Google's own fake, with the topic."""
    with PubSubFake() as fake:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", fake.grpc_address)
        fake.create_topic(TOPIC)
        yield fake


def test_what_was_published_arrives_and_has_an_id(pubsub: Emulator) -> None:
    attributes = {"source": "shop", "region": "eu"}
    with PubSubSink(PROJECT, {"orders": {"attributes": attributes}}) as sink:
        ids = [
            sink.publish_message({"total": 1}, "orders"),
            sink.publish_message("grüße", "orders", attributes={"region": "us"}),
            sink.publish_message(b"\0\xff", "orders", ordering_key="k"),
        ]
    assert all(ids)
    assert len(set(ids)) == 3
    assert arrived(pubsub) == [
        (b'{"total":1}', attributes, ""),
        ("grüße".encode(), {"source": "shop", "region": "us"}, ""),
        (b"\0\xff", attributes, "k"),
    ]


def test_every_type_that_mongodb_has_can_be_published(pubsub: Emulator) -> None:
    # The original's JSON knew no ObjectId, and one ended its listener.
    document = {
        "_id": ObjectId("65f1c2a00000000000000001"),
        "when": datetime(2026, 1, 31, tzinfo=timezone.utc),
        "price": Decimal128("9.90"),
    }
    with PubSubSink(PROJECT, {"orders": {}}) as sink:
        sink.publish_message(document, "orders")
    ((data, _, _),) = arrived(pubsub)
    assert json.loads(data) == {
        "_id": {"$oid": "65f1c2a00000000000000001"},
        "when": {"$date": "2026-01-31T00:00:00Z"},
        "price": {"$numberDecimal": "9.90"},
    }


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("ann", "ann"),
        (7, "7"),
        (ObjectId("65f1c2a00000000000000001"), "65f1c2a00000000000000001"),
        (Decimal128("9.90"), "9.90"),
        (datetime(2026, 1, 31, tzinfo=timezone.utc), "2026-01-31T00:00:00Z"),
        (True, "true"),
        ({"a": 1}, '{"a":1}'),
        (None, ""),
    ],
)
def test_the_field_of_the_ordering_key_is_its_value(
    pubsub: Emulator, value: object, key: str
) -> None:
    # The original read `ordering_key` and dropped it.
    with PubSubSink(PROJECT, {"orders": {"ordering_key": "customer.id"}}) as sink:
        sink.publish_message({"customer": {"id": value}}, "orders")
        ((as_document, _, _),) = sent = arrived(pubsub)
        assert sent[0][2] == key
        # The same document as text, and as bytes, has the same key.
        sink.publish_message(as_document, "orders")
        sink.publish_message(as_document.decode(), "orders")
        assert [found for _, _, found in arrived(pubsub)] == [key, key]


def test_a_key_that_is_named_goes_before_the_field(pubsub: Emulator) -> None:
    with PubSubSink(PROJECT, KEYED) as sink:
        sink.publish_message({"customer": 7}, "orders", ordering_key="other")
        sink.publish_message({"customer": 7}, "orders", ordering_key="")
        sink.publish_message({}, "orders")
        sink.publish_message("no JSON", "orders", ordering_key="named")
        with pytest.raises(PublishError, match="no JSON object"):
            sink.publish_message("no JSON", "orders")
    assert [key for _, _, key in arrived(pubsub)] == ["other", "", "", "named"]


def test_the_order_of_a_key_outlasts_every_fault(pubsub: Emulator) -> None:
    for nth, action in itertools.product((1, 3, 5), ("status", "lose_response")):
        key = "ann" if action == "status" else "bob"
        pubsub.fault(action, ordering_key=key, nth=nth)  # type: ignore[arg-type]
    with PubSubSink(PROJECT, {"orders": {"ordering_key": "customer", "batch_size": 10}}) as sink:
        for start in range(0, 100, 50):
            batch = [order(c, n) for n in range(start, start + 50) for c in ("ann", "bob")]
            ids, failed = sink.publish_batch(batch, "orders")
            assert (len(set(ids)), failed) == (100, [])
    assert pubsub.statistics().faults == 6
    assert first_numbers(pubsub) == {"ann": [*range(100)], "bob": [*range(100)]}


def test_threads_share_a_sink(pubsub: Emulator) -> None:
    with PubSubSink(PROJECT, KEYED) as sink:

        def publish(customer: str) -> None:
            for number in range(30):
                sink.publish_message(order(customer, number), "orders")

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(publish, "abcdef"))
    assert first_numbers(pubsub) == {customer: [*range(30)] for customer in "abcdef"}


def test_five_thousand_messages_go_in_five_requests(pubsub: Emulator) -> None:
    with PubSubSink(PROJECT, {"orders": {}}) as sink:
        ids, failed = sink.publish_batch(({"n": n} for n in range(5000)), "orders")
    assert len(set(ids)) == 5000
    assert failed == []
    assert pubsub.statistics().requests == 5
    assert sorted(json.loads(data)["n"] for data, _, _ in arrived(pubsub)) == [*range(5000)]


def test_five_thousand_messages_of_many_keys_stay_in_order(pubsub: Emulator) -> None:
    batch = [order(str(n % 100), n) for n in range(5000)]
    with PubSubSink(PROJECT, KEYED) as sink:
        ids, _ = sink.publish_batch(batch, "orders")
    assert len(set(ids)) == 5000
    assert first_numbers(pubsub) == {str(c): [*range(c, 5000, 100)] for c in range(100)}


def test_the_batch_size_is_that_of_requests(pubsub: Emulator) -> None:
    with PubSubSink(PROJECT, {"orders": {"batch_size": 7}}) as sink:
        sink.publish_batch(["x"] * 21, "orders")
    assert pubsub.statistics().requests == 3


def test_what_cannot_be_published_fails_alone(strict: PubSubFake) -> None:
    strict.fault("status", match={"data_contains": SECRET}, code="INVALID_ARGUMENT", times=-1)
    batch: list[Any] = [order("ann", number) for number in range(10)]
    batch[3]["card"] = SECRET
    batch[5] = {"customer": "ann", "blob": "x" * 10_000_000}
    batch[7] = {"customer": "ann", "blob": object()}
    with PubSubSink(PROJECT, KEYED) as sink:
        ids, failed = sink.publish_batch(batch, "orders")
    assert len(set(ids)) == 7
    assert [position for position, _ in failed] == [3, 5, 7]
    refused, large, no_bson = (error for _, error in failed)
    assert "INVALID_ARGUMENT" in str(refused)
    assert "over Pub/Sub's 10 MB" in str(large)
    assert "not BSON" in str(no_bson)
    assert isinstance(no_bson.original_error, ValueError)
    for _, error in failed:
        assert error.topic_name == "orders"
        assert not error.retryable
        assert SECRET not in str(error)
    sent = [json.loads(message.data)["n"] for message in strict.messages()]
    assert sent == [0, 1, 2, 4, 6, 8, 9]
    assert {message.ordering_key for message in strict.messages()} == {"ann"}
    assert strict.stats()["max_in_flight_per_key"] == 1


def test_googles_own_fake_takes_what_is_published(strict: PubSubFake) -> None:
    with PubSubSink(PROJECT, KEYED) as sink:
        one = sink.publish_message(order("bob", 0), "orders", attributes={"a": "b"})
        more, _ = sink.publish_batch([order(str(n % 9), n) for n in range(900)], "orders")
    assert len({one, *more}) == 901
    first, *rest = strict.messages()
    assert (first.data, first.attributes) == (b'{"customer":"bob","n":0}', {"a": "b"})
    by_key: dict[str, list[int]] = defaultdict(list)
    for message in rest:
        by_key[message.ordering_key].append(json.loads(message.data)["n"])
    assert by_key == {str(c): [*range(c, 900, 9)] for c in range(9)}
    with pytest.raises(TopicNotFoundError):
        PubSubSink(PROJECT, {"missing": {}})


def test_a_pubsub_that_was_away_is_found_again(strict: PubSubFake) -> None:
    with PubSubSink(PROJECT, KEYED) as sink:
        sink.publish_message(order("ann", 0), "orders")
        strict.down()
        with pytest.raises(PublishTimeoutError, match="UNAVAILABLE"):
            sink.publish_message(order("ann", 1), "orders", timeout=0.3)
        strict.up()
        sink.publish_message(order("ann", 2), "orders")
    assert [json.loads(message.data)["n"] for message in strict.messages()] == [0, 2]


def test_with_fail_fast_the_first_failure_is_raised_and_the_rest_not_sent(
    pubsub: Emulator,
) -> None:
    pubsub.fault("status", code="PERMISSION_DENIED", nth=2)
    with PubSubSink(PROJECT, {"orders": {"ordering_key": "customer", "batch_size": 2}}) as sink:
        with pytest.raises(PublishError, match="PERMISSION_DENIED") as caught:
            sink.publish_batch([order("ann", n) for n in range(10)], "orders", fail_fast=True)
        assert "roles/pubsub.publisher" in caught.value.hint
        assert first_numbers(pubsub) == {"ann": [0, 1]}
        with pytest.raises(PublishError, match="not BSON"):
            sink.publish_batch([{}, {"a": object()}], "orders", fail_fast=True)
        assert arrived(pubsub) == []


def test_a_missing_topic_is_told_at_the_start_with_what_to_do(pubsub: Emulator) -> None:
    config = {"orders": {}, "alerts": {"name": "projects/other/topics/shop-alerts"}}
    with pytest.raises(TopicNotFoundError, match="projects/other/topics/shop-alerts") as caught:
        PubSubSink(PROJECT, config)
    assert caught.value.topic_name == "alerts"
    assert "gcloud pubsub topics create shop-alerts --project=other" in caught.value.hint
    sink = PubSubSink(PROJECT, config, validate_topics=False)
    with pytest.raises(TopicNotFoundError, match="shop-alerts") as caught:
        sink.publish_message("x", "alerts")
    assert isinstance(caught.value, PublishError)
    pubsub.create_topic("projects/other/topics/shop-alerts")
    assert sink.publish_message("x", "alerts")
    with pytest.raises(TopicNotFoundError, match="no topic 'order'") as caught:
        sink.publish_message("x", "order")
    assert "alerts, orders" in caught.value.hint


def test_a_timeout_is_both_errors_and_the_key_goes_on(pubsub: Emulator) -> None:
    pubsub.fault("status", times=-1, ordering_key="ann")
    with PubSubSink(PROJECT, KEYED) as sink:
        with pytest.raises(PublishTimeoutError, match="UNAVAILABLE") as caught:
            sink.publish_message(order("ann", 0) | {"card": SECRET}, "orders", timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, PublishError)
        assert caught.value.retryable
        assert SECRET not in str(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
        assert (again.topic_name, again.retryable, again.hint) == (
            "orders",
            True,
            caught.value.hint,
        )
        pubsub.clear_faults()
        sink.publish_message(order("ann", 1), "orders")
    assert first_numbers(pubsub) == {"ann": [1]}


def test_several_topics_get_a_message_side_by_side(pubsub: Emulator) -> None:
    pubsub.create_topic("projects/demo/topics/audit")
    config: dict[str, Any] = {"orders": {}, "audit": {}, "missing": {}}
    sink = PubSubSink(PROJECT, config, validate_topics=False)
    ids = sink.publish_to_multiple_topics({"n": 1}, ["orders", "audit"])
    assert sorted(ids) == ["audit", "orders"]
    assert all(ids.values())
    with pytest.raises(TopicNotFoundError, match="missing") as caught:
        sink.publish_to_multiple_topics({"n": 2}, ["missing", "orders"])
    assert list(caught.value.published) == ["orders"]
    assert first_numbers(pubsub) == {"": [1, 2]}


def test_close_drains_what_other_threads_publish_and_ends_the_sink(pubsub: Emulator) -> None:
    sink = PubSubSink(PROJECT, KEYED)
    pubsub.fault("delay", delay_ms=300)
    ids: list[str] = []
    thread = threading.Thread(
        target=lambda: ids.append(sink.publish_message(order("ann", 1), "orders"))
    )
    thread.start()
    pubsub.wait(attempts=1)
    sink.close()
    assert pubsub.statistics().messages == 1
    thread.join()
    assert len(ids) == 1
    with pytest.raises(PubSubSinkError, match="closed"):
        sink.publish_message({}, "orders")
    # As the original's callers write it.
    asyncio.run(_await_close(sink))


async def _await_close(sink: PubSubSink) -> None:
    await sink.close()


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "topic_config"),
        ({"orders": 1}, "topic_config.orders"),
        ({"orders": {"batch_sise": 1}}, "topic_config.orders.batch_sise"),
        ({"orders": {"batch_size": 1001}}, "topic_config.orders.batch_size"),
        ({"orders": {"batch_size": True}}, "topic_config.orders.batch_size"),
        ({"orders": {"attributes": {"a": 1}}}, "topic_config.orders.attributes.a"),
        ({"orders": {"ordering_key": 1}}, "topic_config.orders.ordering_key"),
        ({"orders": {"name": "a b"}}, "topic_config.orders.name"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_path(config: Any, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PubSubSink(PROJECT, config)
    assert caught.value.path == path


def test_the_topics_of_a_configuration_will_do(pubsub: Emulator) -> None:
    config: dict[str, Any] = {"main": {"name": "orders", "description": "Orders", "envelope": None}}
    with PubSubSink(PROJECT, config) as sink:
        assert sink.publish_message("x", "main")
    with PubSubSink(PROJECT, {"main": TOPIC}) as sink:
        assert sink.publish_message("x", "main")
    assert len(arrived(pubsub)) == 2


def test_an_endpoint_in_the_clear_is_for_this_machine_only(
    pubsub: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    with pytest.raises(ConfigError, match=r"pubsub\.endpoint"):
        PubSubSink(PROJECT, KEYED, endpoint="http://pubsub.googleapis.com")
    with PubSubSink(PROJECT, KEYED, endpoint=f"http://{pubsub.address}") as sink:
        assert sink.publish_message({}, "orders")


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_a_timeout_is_a_time(pubsub: Emulator, timeout: float) -> None:
    with PubSubSink(PROJECT, KEYED) as sink, pytest.raises(ValueError, match="timeout"):
        sink.publish_message({}, "orders", timeout=timeout)
    assert arrived(pubsub) == []


def test_data_and_attributes_of_another_type_are_refused(pubsub: Emulator) -> None:
    anything: Any = 7
    with PubSubSink(PROJECT, {"orders": {}}) as sink:
        with pytest.raises(TypeError, match="a dict, a str or bytes"):
            sink.publish_message(anything, "orders")
        with pytest.raises(TypeError, match="attributes are texts"):
            sink.publish_message({}, "orders", attributes={"a": anything})
        with pytest.raises(PublishError, match="attribute `a` has more than 1024 bytes"):
            sink.publish_message({}, "orders", attributes={"a": "x" * 1025})
    assert arrived(pubsub) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_and_does_not_hang(pubsub: Emulator) -> None:
    sink = PubSubSink(PROJECT, KEYED)
    assert sink.publish_message({}, "orders")
    child = os.fork()
    if child == 0:
        try:
            sink.publish_message({}, "orders")
        except RuntimeError:
            os._exit(7)
        os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert len(arrived(pubsub)) == 1


def test_an_account_that_may_not_look_is_warned_and_publishes(
    pubsub: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    sink = PubSubSink(PROJECT, KEYED)
    sink._check([(TOPIC, "not_allowed", "")])  # noqa: SLF001 - no fake refuses a look-up
    assert f"{TOPIC} was not looked up" in caplog.text
    with pytest.raises(PubSubSinkError, match="cannot be looked up: UNAVAILABLE"):
        sink._check([(TOPIC, "failed", "UNAVAILABLE")])  # noqa: SLF001
    assert sink.publish_message({}, "orders")
    assert len(arrived(pubsub)) == 1
