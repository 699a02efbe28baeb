"""`AsyncPubSubSink`: the same for event loops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.errors import PublishTimeoutError, PubSubSinkError, TopicNotFoundError
from mongo_gcp_stream.sink import AsyncPubSubSink

from tests.support.sinks import KEYED, PROJECT, embedded, first_numbers, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongo_gcp_stream.testing import Emulator


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The embedded Pub/Sub."""
    with embedded(monkeypatch) as emulator:
        yield emulator


def test_asyncio_keeps_the_order_in_which_coroutines_begin(pubsub: Emulator) -> None:
    pubsub.fault("status", ordering_key="ann", nth=2)
    pubsub.fault("lose_response", ordering_key="bob", nth=2)

    async def publish() -> list[str]:
        async with AsyncPubSubSink(PROJECT, KEYED) as sink:
            orders = [order(c, n) for n in range(200) for c in ("ann", "bob")]
            ids = await asyncio.gather(*(sink.publish_message(o, "orders") for o in orders))
            more, failed = await sink.publish_batch([order("ann", 200)], "orders")
            assert failed == []
            both = await sink.publish_to_multiple_topics(order("bob", 200), ["orders"])
            await sink.flush()
            return [*ids, *more, *both.values()]

    # Several event loops in turn.
    assert len(set(asyncio.run(publish()))) == 402
    assert first_numbers(pubsub) == {"ann": [*range(201)], "bob": [*range(201)]}
    assert len(set(asyncio.run(publish()))) == 402


def test_asyncio_has_the_same_errors(pubsub: Emulator) -> None:
    async def publish() -> None:
        with pytest.raises(TopicNotFoundError, match="missing"):
            async with AsyncPubSubSink(PROJECT, {"missing": {}}):
                pass
        sink = AsyncPubSubSink(PROJECT, KEYED)
        pubsub.fault("status", times=-1)
        with pytest.raises(PublishTimeoutError):
            await sink.publish_message({}, "orders", timeout=0.1)
        await sink.close()
        with pytest.raises(PubSubSinkError, match="closed"):
            await sink.publish_message({}, "orders")

    asyncio.run(publish())


def test_a_coroutine_that_is_cancelled_is_not_sent_any_more(pubsub: Emulator) -> None:
    async def publish() -> None:
        async with AsyncPubSubSink(PROJECT, KEYED) as sink:
            pubsub.fault("delay", delay_ms=60_000)
            first = asyncio.create_task(sink.publish_message(order("ann", 0), "orders"))
            await asyncio.to_thread(pubsub.wait, attempts=1)
            cancelled = asyncio.create_task(sink.publish_message(order("ann", 1), "orders"))
            third = asyncio.create_task(sink.publish_message(order("ann", 2), "orders"))
            # Both have begun, behind the first, once a message of another key is through.
            await sink.publish_message(order("bob", 0), "orders")
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            pubsub.clear_faults()
            assert await first != await third

    asyncio.run(publish())
    assert first_numbers(pubsub) == {"ann": [0, 2], "bob": [0]}
