"""Google's own clients on the embedded Pub/Sub, in the ways in which they are used."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1

from tests.support.pubsub_fake import EMULATOR_GO, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mongo_gcp_stream.testing import Emulator

pytest_plugins = ["mongo_gcp_stream.testing.pytest_plugin"]

TOPIC = "projects/demo/topics/orders"
SUBSCRIPTION = "projects/demo/subscriptions/orders"
KEYS = [f"key-{number}" for number in range(4)]

#: Ends a wait that would never end.
PATIENCE = 60


@pytest.fixture
def publisher(pubsub_emulator: Emulator) -> Iterator[pubsub_v1.PublisherClient]:
    pubsub_emulator.create_topic(TOPIC)
    pubsub_emulator.create_subscription(SUBSCRIPTION, TOPIC)
    ordered = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    client = pubsub_v1.PublisherClient(publisher_options=ordered)
    yield client
    client.stop()


@pytest.fixture
def subscriber(publisher: pubsub_v1.PublisherClient) -> Iterator[pubsub_v1.SubscriberClient]:
    del publisher  # it comes first: it makes topic and subscription
    with pubsub_v1.SubscriberClient() as client:
        yield client


def publish(publisher: pubsub_v1.PublisherClient, numbers: range) -> None:
    futures = [
        publisher.publish(TOPIC, str(number).encode(), ordering_key=KEYS[number % len(KEYS)])
        for number in numbers
    ]
    for future in futures:
        future.result(timeout=PATIENCE)


class Receiving:
    """A streaming subscriber that notes what comes, by key, until so many are acknowledged."""

    def __init__(self, subscriber: pubsub_v1.SubscriberClient, until: int, **options: Any) -> None:
        self.came: dict[str, list[int]] = {}
        self._acknowledged = 0
        self._until = until
        self._lock = threading.Lock()
        self._done: Future[None] = Future()
        self._options = options
        self._subscriber = subscriber

    def run(self, accepts: Callable[[int, list[int]], bool]) -> None:
        """Receive; `accepts` gets a number and what came of its key before it."""

        def note(message: Any) -> None:
            with self._lock:
                number = int(message.data)
                before = self.came.setdefault(message.ordering_key, [])
                if accepts(number, before):
                    self._acknowledged += 1
                    message.ack()
                else:
                    message.nack()
                before.append(number)
                if self._acknowledged == self._until and not self._done.done():
                    self._done.set_result(None)

        streaming = self._subscriber.subscribe(SUBSCRIPTION, note, **self._options)
        try:
            self._done.result(timeout=PATIENCE)
        finally:
            streaming.cancel()
            streaming.result(timeout=PATIENCE)


def in_order(came: list[int]) -> bool:
    """Whether the first occurrences are in order."""
    first = list(dict.fromkeys(came))
    return first == sorted(first)


def test_a_streaming_subscriber_gets_each_key_in_order(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    publish(publisher, range(200))
    receiving = Receiving(subscriber, until=200)
    receiving.run(lambda _number, _before: True)
    assert receiving.came == {key: list(range(lane, 200, 4)) for lane, key in enumerate(KEYS)}


def test_a_refused_message_comes_again_before_the_later_ones_of_its_key(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    publish(publisher, range(40))
    # The client works off what it holds of the key; then the refused one and those come again.
    receiving = Receiving(subscriber, until=40 + 7)
    receiving.run(lambda number, before: number != 8 or 8 in before)
    later = list(range(12, 40, 4))
    assert receiving.came[KEYS[0]] == [0, 4, 8, *later, 8, *later]
    assert all(in_order(came) for came in receiving.came.values())


def test_flow_control_holds_back_and_goes_on(
    pubsub_emulator: Emulator,
    publisher: pubsub_v1.PublisherClient,
    subscriber: pubsub_v1.SubscriberClient,
) -> None:
    publish(publisher, range(50))
    receiving = Receiving(
        subscriber, until=50, flow_control=pubsub_v1.types.FlowControl(max_messages=3)
    )
    receiving.run(lambda _number, _before: True)
    assert all(in_order(came) for came in receiving.came.values())
    assert pubsub_emulator.wait(acknowledged=50).kept_bytes == 0


def test_a_streaming_subscriber_survives_a_deleted_subscription_by_saying_so(
    subscriber: pubsub_v1.SubscriberClient,
) -> None:
    streaming = subscriber.subscribe(SUBSCRIPTION, lambda message: message.ack())
    subscriber.delete_subscription(subscription=SUBSCRIPTION)
    with pytest.raises(exceptions.NotFound, match="orders does not exist"):
        streaming.result(timeout=PATIENCE)


def test_a_deadline_is_given_up_by_a_pulling_client(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    publish(publisher, range(0, 12, 4))
    pulled = subscriber.pull(subscription=SUBSCRIPTION, max_messages=10).received_messages
    assert [int(received.message.data) for received in pulled] == [0, 4, 8]
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[pulled[0].ack_id])
    subscriber.modify_ack_deadline(
        subscription=SUBSCRIPTION, ack_ids=[pulled[1].ack_id], ack_deadline_seconds=0
    )
    again = subscriber.pull(subscription=SUBSCRIPTION, max_messages=10).received_messages
    assert [int(received.message.data) for received in again] == [4, 8]


def test_administration(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    assert list(publisher.list_topic_subscriptions(topic=TOPIC)) == [SUBSCRIPTION]
    labelled = {"name": TOPIC, "labels": {"team": "shop"}}
    publisher.update_topic(request={"topic": labelled, "update_mask": {"paths": ["labels"]}})
    assert publisher.get_topic(topic=TOPIC).labels == {"team": "shop"}
    updated = subscriber.update_subscription(
        request={
            "subscription": {"name": SUBSCRIPTION, "ack_deadline_seconds": 60},
            "update_mask": {"paths": ["ack_deadline_seconds"]},
        }
    )
    assert (updated.ack_deadline_seconds, updated.enable_message_ordering) == (60, True)
    with pytest.raises(exceptions.InvalidArgument, match="cannot be changed"):
        subscriber.update_subscription(
            request={
                "subscription": {"name": SUBSCRIPTION, "topic": "projects/demo/topics/other"},
                "update_mask": {"paths": ["topic"]},
            }
        )
    asked = {"resource": TOPIC, "permissions": ["pubsub.topics.publish", "pubsub.topics.get"]}
    assert publisher.test_iam_permissions(request=asked).permissions == asked["permissions"]


def test_googles_go_client(pubsub_emulator: Emulator) -> None:
    ran = subprocess.run(
        [build(EMULATOR_GO)],
        env={**os.environ, "PUBSUB_EMULATOR_HOST": pubsub_emulator.address},
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    came: dict[str, list[int]] = json.loads(ran.stdout)
    assert {key: sorted(set(numbers)) for key, numbers in came.items()} == {
        key: list(range(lane, 200, 4)) for lane, key in enumerate(KEYS)
    }
    assert all(in_order(numbers) for numbers in came.values())
    assert came[KEYS[0]].count(8) >= 2, "it was refused once"
    assert pubsub_emulator.statistics().messages == 200
