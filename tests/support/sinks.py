"""A Pub/Sub for tests of sinks, and what has arrived there."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

PROJECT = "demo"
TOPIC = "projects/demo/topics/orders"
SUBSCRIPTION = "projects/demo/subscriptions/orders"
KEYED = {"orders": {"ordering_key": "customer"}}


@contextlib.contextmanager
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The embedded Pub/Sub with a topic and an ordered subscription."""
    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        emulator.create_topic(TOPIC)
        emulator.create_subscription(SUBSCRIPTION, TOPIC)
        yield emulator


def arrived(pubsub: Emulator) -> list[tuple[bytes, dict[str, str], str]]:
    """Data, attributes and ordering key of what the subscription has got."""
    found = []
    while pulled := pubsub.pull(SUBSCRIPTION, wait_ms=0):
        found += [(data, attributes, key) for data, attributes, key, _ in pulled]
    return found


def first_numbers(pubsub: Emulator) -> dict[str, list[int]]:
    """By ordering key the field `n` of its messages, each at its first occurrence."""
    by_key: dict[str, dict[int, None]] = defaultdict(dict)
    for data, _, key in arrived(pubsub):
        by_key[key][json.loads(data)["n"]] = None
    return {key: list(numbers) for key, numbers in by_key.items()}


def order(customer: str, number: int) -> dict[str, Any]:
    """An order as the tests publish it."""
    return {"customer": customer, "n": number}
