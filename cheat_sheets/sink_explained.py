"""PubSubSink, explained.

Runs as it stands: python cheat_sheets/sink_explained.py

It publishes to the embedded Pub/Sub in this process; with Google's, leave that out.
"""

from __future__ import annotations

import asyncio
import os

from bson import ObjectId
from mongo_gcp_stream.errors import PublishTimeoutError, TopicNotFoundError
from mongo_gcp_stream.sink import AsyncPubSubSink, PubSubSink
from mongo_gcp_stream.testing import Emulator

# ==== API ====
#
# PubSubSink(project_id, topic_config, validate_topics=True, *, endpoint=None, region=None)
# .publish_message(data, topic_name, timeout=60.0, *, attributes=None, ordering_key=None) -> id
# .publish_batch(data_batch, topic_name, fail_fast=False, *, timeout=60.0, attributes=None)
#     -> (ids, failed); a failed message is a FailedMessage(position, error)
# .publish_to_multiple_topics(data, names, timeout=60.0, *, attributes=None) -> {name: id}
# .flush()   waits for what other threads are publishing
# .close()   the same, and ends the sink; a `with` block does it
#
# AsyncPubSubSink has the same methods as coroutines; `async with` looks its topics up.
# data is a dict (sent as relaxed Extended JSON), a str or bytes.
#
# Errors: PubSubSinkError > PublishError (.topic_name .original_error .retryable .hint)
#         > TopicNotFoundError, PublishTimeoutError (a TimeoutError, too)

PROJECT = "demo"
TOPICS = {
    # name -> name in Pub/Sub (if it differs), batch_size, attributes, ordering_key
    "orders": {"name": "shop-orders", "ordering_key": "customer", "attributes": {"shop": "1"}},
    "alerts": {"name": "shop-alerts"},
}

# ==== Patterns ====


def publish_one(sink: PubSubSink) -> None:
    """A document with an ObjectId; its field `customer` is the ordering key."""
    order = {"_id": ObjectId(), "customer": "ann", "total": 20}
    print("one:", sink.publish_message(order, "orders"))
    # Attributes of the call go before those of the topic, a key of the call before the field.
    sink.publish_message("plain text", "orders", attributes={"kind": "note"}, ordering_key="ann")


def publish_many(sink: PubSubSink) -> None:
    """Full requests, in order for each customer; what cannot be published fails alone."""
    batch = [{"customer": f"c{n % 3}", "n": n} for n in range(2_000)]
    batch[3]["n"] = "x" * 10_000_000
    ids, failed = sink.publish_batch(batch, "orders")
    print("many:", len(ids), "published;", [(f.position, str(f.error)) for f in failed])


def publish_to_several(sink: PubSubSink) -> None:
    """One message to several topics, side by side."""
    print("several:", sink.publish_to_multiple_topics({"n": 1}, ["orders", "alerts"]))


def wait_out_an_outage(sink: PubSubSink, pubsub: Emulator) -> None:
    """What passes is tried again, with growing, random pauses, until the timeout."""
    pubsub.fault("status", code="UNAVAILABLE", times=2)
    print("after an outage:", sink.publish_message({"n": 2}, "alerts"))
    pubsub.fault("status", code="UNAVAILABLE", times=-1)
    try:
        sink.publish_message({"n": 3}, "alerts", timeout=0.2)
    except PublishTimeoutError as error:
        # Unknown: it may or may not have been published. error.retryable is True.
        print("timeout:", error, "|", error.hint)
    pubsub.clear_faults()


async def publish_with_asyncio() -> None:
    """Coroutines take their place in a key's order when they begin to run."""
    async with AsyncPubSubSink(PROJECT, TOPICS) as sink:
        orders = ({"customer": "bob", "n": n} for n in range(10))
        ids = await asyncio.gather(*(sink.publish_message(order, "orders") for order in orders))
        print("asyncio:", len(ids))


# ==== Best practices ====
#
# - One sink for the life of the program, shared by its threads: it is one connection.
# - publish_batch for many: a request a message costs a round trip each.
# - Thousands of ordering keys, not one: a key has one request in flight, and 1 MB/s at Pub/Sub.
# - An ordering key needs a subscription with message ordering, and one region: `region=`.
# - Readers have to expect a message twice: a lost answer is sent again.
# - `failed` is to be looked at: publish_batch raises only with fail_fast=True.
# - In a forked process make a new sink after the fork: the old one raises.


def find_a_missing_topic() -> None:
    """A topic that does not exist is told at the start, with the command that creates it."""
    try:
        PubSubSink(PROJECT, {"nowhere": {}})
    except TopicNotFoundError as error:
        print("missing:", error, "|", error.hint)


def main() -> None:
    """Run everything on a Pub/Sub in this process."""
    with Emulator() as pubsub:
        os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.address
        for topic in ("shop-orders", "shop-alerts"):
            pubsub.create_topic(f"projects/{PROJECT}/topics/{topic}")
        with PubSubSink(PROJECT, TOPICS) as sink:
            publish_one(sink)
            publish_many(sink)
            publish_to_several(sink)
            wait_out_an_outage(sink, pubsub)
        asyncio.run(publish_with_asyncio())
        find_a_missing_topic()


if __name__ == "__main__":
    main()
