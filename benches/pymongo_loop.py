"""The loop that one writes at home: pymongo, json_util and Google's publisher.

Kept plain and fair: Google's publisher batches on its own and in the background, without ordering
keys; nothing is stored, nothing is retried beyond what the two clients do themselves.
"""

from __future__ import annotations

import argparse
from collections import deque
from typing import TYPE_CHECKING, Any

from bson import json_util
from google.cloud import pubsub_v1
from pymongo import MongoClient

if TYPE_CHECKING:
    from concurrent.futures import Future

_BATCH = pubsub_v1.types.BatchSettings(max_messages=1000, max_bytes=9_000_000, max_latency=0.05)


def main() -> None:
    """Publishes as many events as asked for, then ends."""
    arguments = _arguments()
    publisher = pubsub_v1.PublisherClient(batch_settings=_BATCH)
    client = MongoClient[dict[str, Any]](arguments.uri)
    collection = client[arguments.database][arguments.collection]
    pending: deque[Future[str]] = deque()
    with collection.watch(
        full_document="updateLookup",
        start_after={"_data": arguments.token},
        batch_size=1000,
        max_await_time_ms=500,
    ) as stream:
        for _ in range(arguments.events):
            pending.append(_publish(publisher, arguments.topic, stream.next()))
            while pending and pending[0].done():
                pending.popleft().result()
    for future in pending:
        future.result()
    publisher.stop()


def _publish(
    publisher: pubsub_v1.PublisherClient, topic: str, change: dict[str, Any]
) -> Future[str]:
    namespace, time = change["ns"], change["clusterTime"]
    future: Future[str] = publisher.publish(
        topic,
        json_util.dumps(change, json_options=json_util.RELAXED_JSON_OPTIONS).encode(),
        event_id=change["_id"]["_data"],
        operation=change["operationType"],
        namespace=f"{namespace['db']}.{namespace['coll']}",
        cluster_time=f"{time.time}.{time.inc}",
        connection_id="main",
        source_name="orders",
        content_type="application/json",
    )
    return future


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--token", required=True, help="start after this resume token")
    parser.add_argument("--topic", required=True, help="projects/…/topics/…")
    parser.add_argument("--events", type=int, required=True, help="end after so many")
    return parser.parse_args()


if __name__ == "__main__":
    main()
