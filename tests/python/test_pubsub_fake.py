"""The Pub/Sub fake that the end-to-end tests trust, against Google's own client."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, get_args

import grpc
import pytest
from google.api_core import exceptions
from google.pubsub_v1 import PublisherClient, PubsubMessage, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from tests.support.pubsub_fake import Keep, PubSubFake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC = "projects/demo/topics/orders"
SUBSCRIPTION = "projects/demo/subscriptions/orders"

# Whoever notices first that a deadline has passed, the client or the server, names it.
DEADLINE_PASSED = (exceptions.DeadlineExceeded, exceptions.Cancelled)


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[PubSubFake]:
    with PubSubFake() as fake:
        fake.create_topic(TOPIC, SUBSCRIPTION)
        yield fake


@pytest.fixture
def fake(shared_fake: PubSubFake) -> PubSubFake:
    shared_fake.reset()
    shared_fake.mode(keep="all")
    shared_fake.up()
    return shared_fake


@pytest.fixture(scope="module")
def client(shared_fake: PubSubFake) -> Iterator[PublisherClient]:
    with publisher(shared_fake) as client:
        yield client


def publisher(fake: PubSubFake) -> PublisherClient:
    """Google's client without its batching: requests are what is tested here."""
    channel = grpc.insecure_channel(fake.grpc_address)
    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))


def publish(client: PublisherClient, *messages: PubsubMessage) -> list[str]:
    """Send exactly one request, exactly once."""
    answer = client.publish(topic=TOPIC, messages=list(messages), retry=None, timeout=20)
    return list(answer.message_ids)


def message(data: str, key: str = "", **attributes: str) -> PubsubMessage:
    return PubsubMessage(
        data=data.encode(), ordering_key=key, attributes={"event_id": data, **attributes}
    )


def test_the_record_is_what_was_published(fake: PubSubFake, client: PublisherClient) -> None:
    publish(client, message("1", "a", operation="insert"), message("2", "a"))
    publish(client, message("3"))
    published = fake.messages()
    assert [(m.index, m.request, m.ordering_key, m.data) for m in published] == [
        (0, 0, "a", b"1"),
        (1, 0, "a", b"2"),
        (2, 1, "", b"3"),
    ]
    assert published[0].attributes == {"event_id": "1", "operation": "insert"}
    assert published[0].topic == TOPIC
    assert fake.messages(start=2) == published[2:]
    stats = fake.stats()
    assert (stats["requests"], stats["messages"], stats["largest_messages"]) == (2, 3, 2)
    assert (stats["mean_messages"], stats["ordering_keys"]) == (1.5, 2)
    assert stats["first_commit_ms"] <= published[0].committed_ms <= published[2].committed_ms


def test_subscribers_get_what_is_kept(fake: PubSubFake, client: PublisherClient) -> None:
    fake.create_topic(TOPIC, "projects/demo/subscriptions/own")
    publish(client, message("1", "a"), message("2", "a"))
    own = "projects/demo/subscriptions/own"
    channel = grpc.insecure_channel(fake.grpc_address)
    pulled: list[bytes] = []
    with SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)) as subscriber:
        while len(pulled) < 2:  # it hands out one message of a key at a time
            for received in subscriber.pull(subscription=own, max_messages=10).received_messages:
                pulled.append(received.message.data)
                subscriber.acknowledge(subscription=own, ack_ids=[received.ack_id])
    assert pulled == [b"1", b"2"]


def test_event_ids_are_counted(fake: PubSubFake, client: PublisherClient) -> None:
    publish(client, message("1"), message("2"), PubsubMessage(data=b"without"))
    publish(client, message("2"), message("3"))
    stats = fake.stats()
    assert (stats["messages"], stats["distinct_event_ids"], stats["duplicates"]) == (5, 3, 1)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([message("1", "a"), message("2", "b")], "mixes ordering keys"),
        ([message("1")] * 1001, "1001 messages"),
        ([PubsubMessage(data=b"x" * 10_000_000)], "bytes in a request"),
        ([message("1", text="ä" * 513)], "1026 bytes in an attribute's value"),
        ([message("1", **{"k" * 257: "v"})], "257 bytes in an attribute's key"),
        ([message("1", **{f"k{n}": "v" for n in range(100)})], "101 attributes"),
        ([message("1", google="v")], "begins with"),
        ([PubsubMessage()], "neither data nor an attribute"),
        ([], "no message"),
    ],
)
def test_limits_are_those_of_the_service(
    fake: PubSubFake,
    client: PublisherClient,
    messages: list[PubsubMessage],
    reason: str,
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=reason):
        publish(client, *messages)
    stats = fake.stats()
    assert (stats["attempts"], stats["refused"], stats["messages"]) == (1, 1, 0)
    assert stats["mixed_keys"] == ("mixes" in reason)


def test_a_request_of_just_10_mb_is_taken(fake: PubSubFake, client: PublisherClient) -> None:
    overhead = len(TOPIC) + 2 + 5 + 5
    publish(client, PubsubMessage(data=b"x" * (10_000_000 - overhead)))
    assert fake.stats()["largest_bytes"] == 10_000_000


def test_an_unknown_topic_is_not_found(client: PublisherClient, fake: PubSubFake) -> None:
    for keep in get_args(Keep):
        fake.mode(keep=keep)
        with pytest.raises(exceptions.NotFound):
            client.publish(topic=f"{TOPIC}-unknown", messages=[message("1")], retry=None)
    assert fake.stats()["messages"] == 0


def test_refused_requests_are_not_committed(fake: PubSubFake, client: PublisherClient) -> None:
    fake.fault("status", code="RESOURCE_EXHAUSTED", times=2, match={"ordering_key": "main/3"})
    publish(client, message("1", "main/2"))
    for _ in range(2):
        with pytest.raises(exceptions.ResourceExhausted):
            publish(client, message("2", "main/3"))
    publish(client, message("2", "main/3"))
    assert [m.data for m in fake.messages()] == [b"1", b"2"]
    assert fake.stats()["faults"] == 2


@pytest.mark.parametrize(
    ("match", "struck"),
    [
        ({}, [1, 2, 3, 4]),
        ({"nth": 3}, [3, 4]),
        ({"ordering_key_suffix": "/7"}, [2, 4]),
        ({"ordering_key_suffix": "/7", "nth": 2}, [4]),
        ({"attributes": {"operation": "delete"}}, [3]),
        ({"data_contains": "poi"}, [3]),
        ({"data_contains": "poi", "attributes": {"operation": "insert"}}, []),
        ({"min_messages": 2}, [4]),
        ({"min_bytes": 200}, [4]),
    ],
)
def test_faults_strike_what_they_match(
    fake: PubSubFake, client: PublisherClient, match: Any, struck: list[int]
) -> None:
    fake.fault("status", times=-1, match=match)
    requests = [
        [message("1", "a/1")],
        [message("2", "a/7")],
        [message("poison", "a/1", operation="delete")],
        [message("4", "a/7"), message("x" * 200, "a/7")],
    ]
    answers = [isinstance(_outcome(client, messages), Exception) for messages in requests]
    assert [number for number, failed in enumerate(answers, start=1) if failed] == struck


def _outcome(client: PublisherClient, messages: list[PubsubMessage]) -> object:
    try:
        return publish(client, *messages)
    except exceptions.ServiceUnavailable as refusal:
        return refusal


def test_a_lost_response_leaves_the_messages(fake: PubSubFake, client: PublisherClient) -> None:
    fake.fault("lose_response", code="DEADLINE_EXCEEDED")
    with pytest.raises(exceptions.DeadlineExceeded):
        publish(client, message("1"))
    publish(client, message("1"))
    assert [m.data for m in fake.messages()] == [b"1", b"1"]
    assert fake.stats()["duplicates"] == 1


def test_a_late_commit_may_come_after_its_retry(fake: PubSubFake, client: PublisherClient) -> None:
    fake.fault("delay", delay_ms=60_000)
    with pytest.raises(DEADLINE_PASSED):
        client.publish(topic=TOPIC, messages=[message("late")], retry=None, timeout=0.2)
    fake.wait(faults=1)
    publish(client, message("retry"))
    assert [m.data for m in fake.messages()] == [b"retry"]
    fake.clear_faults()
    fake.wait(messages=2)
    assert [m.data for m in fake.messages()] == [b"retry", b"late"]


def test_cleared_faults_strike_no_more(fake: PubSubFake, client: PublisherClient) -> None:
    fake.fault("status", times=-1)
    fake.clear_faults()
    assert publish(client, message("1"))


def test_requests_in_flight_are_counted_by_key(fake: PubSubFake, client: PublisherClient) -> None:
    fake.fault("delay", delay_ms=60_000, times=-1)
    with ThreadPoolExecutor(3) as pool:
        for data, key in (("1", "a"), ("2", "a"), ("3", "b")):
            pool.submit(publish, client, message(data, key))
        fake.wait(attempts=3)
        fake.clear_faults()
    stats = fake.stats()
    assert (stats["max_in_flight"], stats["max_in_flight_per_key"]) == (3, 2)
    assert stats["messages"] == 3


@pytest.mark.parametrize("keep", ["attributes", "count"])
def test_less_can_be_kept(fake: PubSubFake, client: PublisherClient, keep: Any) -> None:
    fake.mode(keep=keep)
    event_id = "00112233445566778899aabbccddeeff"
    sent = PubsubMessage(
        data=b"x", ordering_key="a", attributes={"event_id": event_id, "operation": "insert"}
    )
    assert len(publish(client, sent, sent)) == 2
    (first, _) = fake.messages()
    assert (first.ordering_key, first.data) == ("a", b"")
    assert first.attributes["event_id"] == event_id
    assert ("operation" in first.attributes) == (keep == "attributes")
    assert fake.stats()["duplicates"] == 1


def test_pubsub_goes_away_and_comes_back(fake: PubSubFake) -> None:
    with publisher(fake) as client:
        publish(client, message("1"))
        fake.down()
        with pytest.raises(exceptions.ServiceUnavailable):
            publish(client, message("2"))
        fake.up()
        while fake.stats()["messages"] < 2:  # the client backs off before it connects again
            with contextlib.suppress(exceptions.ServiceUnavailable):
                publish(client, message("3"))
    assert [m.data for m in fake.messages()] == [b"1", b"3"]


def test_waiting_ends_with_what_was_waited_for(fake: PubSubFake, client: PublisherClient) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fake.wait, messages=2, distinct_event_ids=2)
        publish(client, message("1"))
        publish(client, message("2"))
        assert waiting.result()["messages"] == 2
    with pytest.raises(TimeoutError, match="'messages': 3"):
        fake.wait(messages=3, timeout_ms=1)


def test_mistakes_are_told(fake: PubSubFake) -> None:
    nonsense: Any = "nonsense"
    condition: Any = {"no_such_condition": 1}
    mistakes: list[Callable[[], None]] = [
        lambda: fake.fault(nonsense),
        lambda: fake.fault("status", code="NO_SUCH_CODE"),
        lambda: fake.fault("status", match=condition),
        lambda: fake.mode(keep=nonsense),
    ]
    for mistake in mistakes:
        with pytest.raises(ValueError, match="POST /"):
            mistake()


def test_it_ends_with_its_standard_input() -> None:
    fake = PubSubFake()
    os.kill(fake.pid, 0)
    ended = threading.Thread(target=fake.close)
    ended.start()
    ended.join(timeout=10)
    with pytest.raises(ProcessLookupError):
        os.kill(fake.pid, 0)
