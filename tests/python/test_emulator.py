"""The embedded Pub/Sub, as Google's own client and as Python sees it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from mongo_gcp_stream.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "projects/demo/topics/orders"
SUBSCRIPTION = "projects/demo/subscriptions/orders"


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        yield emulator


@pytest.fixture
def publisher(emulator: Emulator) -> Iterator[pubsub_v1.PublisherClient]:
    del emulator  # its address is in the environment
    ordered = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    client = pubsub_v1.PublisherClient(publisher_options=ordered)
    yield client
    client.stop()


@pytest.fixture
def subscriber(emulator: Emulator) -> Iterator[pubsub_v1.SubscriberClient]:
    del emulator  # its address is in the environment
    with pubsub_v1.SubscriberClient() as client:
        yield client


def test_googles_client_from_topic_to_acknowledgement(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    publisher.create_topic(name=TOPIC)
    subscriber.create_subscription(
        request={"name": SUBSCRIPTION, "topic": TOPIC, "enable_message_ordering": True}
    )
    keys = [f"orders/{lane}" for lane in range(4)]
    futures = [
        publisher.publish(TOPIC, str(number).encode(), ordering_key=keys[number % 4], n=str(number))
        for number in range(200)
    ]
    assert len({future.result(timeout=30) for future in futures}) == 200

    came: dict[str, list[int]] = {key: [] for key in keys}
    while sum(map(len, came.values())) < 200:
        pulled = subscriber.pull(subscription=SUBSCRIPTION, max_messages=30).received_messages
        for received in pulled:
            assert received.message.attributes["n"] == received.message.data.decode()
            came[received.message.ordering_key].append(int(received.message.data))
        subscriber.acknowledge(
            subscription=SUBSCRIPTION, ack_ids=[received.ack_id for received in pulled]
        )
    assert came == {key: list(range(lane, 200, 4)) for lane, key in enumerate(keys)}


def test_googles_client_lists_and_deletes(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    publisher.create_topic(name=TOPIC)
    with pytest.raises(exceptions.AlreadyExists):
        publisher.create_topic(name=TOPIC)
    subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    assert [topic.name for topic in publisher.list_topics(project="projects/demo")] == [TOPIC]
    listed = subscriber.list_subscriptions(project="projects/demo")
    assert [subscription.name for subscription in listed] == [SUBSCRIPTION]
    subscriber.delete_subscription(subscription=SUBSCRIPTION)
    publisher.delete_topic(topic=TOPIC)
    with pytest.raises(exceptions.NotFound, match="orders does not exist"):
        publisher.get_topic(topic=TOPIC)
    with pytest.raises(exceptions.NotFound, match="orders does not exist"):
        subscriber.pull(subscription=SUBSCRIPTION, max_messages=1)


def test_pull_takes_messages_off(emulator: Emulator, publisher: pubsub_v1.PublisherClient) -> None:
    emulator.create_topic(TOPIC)
    emulator.create_subscription(SUBSCRIPTION, TOPIC)
    publisher.publish(TOPIC, b"1", ordering_key="a", event_id="e1").result(timeout=30)
    publisher.publish(TOPIC, b"2", ordering_key="a").result(timeout=30)
    ((data, attributes, ordering_key, publish_time_ms),) = emulator.pull(SUBSCRIPTION, 1)
    assert (data, attributes, ordering_key) == (b"1", {"event_id": "e1"}, "a")
    ((second, _, _, later),) = emulator.pull(SUBSCRIPTION)
    assert second == b"2"
    # Milliseconds since the epoch, after 2020.
    assert 1.5e12 < publish_time_ms <= later
    assert emulator.pull(SUBSCRIPTION, wait_ms=0) == []


def test_a_waiting_pull_leaves_other_threads_alone(
    emulator: Emulator, publisher: pubsub_v1.PublisherClient
) -> None:
    emulator.create_topic(TOPIC)
    emulator.create_subscription(SUBSCRIPTION, TOPIC)
    pulled: list[bytes] = []
    waiting = threading.Thread(
        target=lambda: pulled.extend(
            message[0] for message in emulator.pull(SUBSCRIPTION, wait_ms=60_000)
        )
    )
    waiting.start()
    publisher.publish(TOPIC, b"1").result(timeout=30)
    waiting.join(timeout=30)
    assert pulled == [b"1"]


def test_closing_ends_a_waiting_pull(emulator: Emulator) -> None:
    emulator.create_topic(TOPIC)
    emulator.create_subscription(SUBSCRIPTION, TOPIC)
    outcome: list[str] = []

    def pull() -> None:
        with pytest.raises(RuntimeError, match="closed") as raised:
            emulator.pull(SUBSCRIPTION, wait_ms=60_000)
        outcome.append(str(raised.value))

    waiting = threading.Thread(target=pull)
    waiting.start()
    emulator.close()
    waiting.join(timeout=30)
    assert outcome == ["the emulator is closed"]


def test_mistakes_are_told(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="projects/PROJECT/topics/ID"):
        emulator.create_topic("orders")
    with pytest.raises(RuntimeError, match="does not exist"):
        emulator.create_subscription(SUBSCRIPTION, TOPIC)
    with pytest.raises(RuntimeError, match="does not exist"):
        emulator.pull(SUBSCRIPTION)
    with pytest.raises(OSError, match="in use"):
        Emulator(int(emulator.address.rpartition(":")[2]))


def test_a_closed_emulator_gives_its_port_back() -> None:
    emulator = Emulator()
    port = int(emulator.address.rpartition(":")[2])
    emulator.close()
    emulator.close()
    with pytest.raises(RuntimeError, match="closed"):
        emulator.create_topic(TOPIC)
    with Emulator(port) as again:
        assert again.address == emulator.address


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_told_and_can_leave(emulator: Emulator) -> None:
    child = os.fork()
    if not child:
        try:
            emulator.create_topic(TOPIC)
        except RuntimeError as error:
            emulator.close()
            os._exit(0 if "parent process" in str(error) else 1)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    emulator.create_topic(TOPIC)
