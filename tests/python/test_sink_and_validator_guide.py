"""The program in the guide to sink and validator runs, on the embedded Pub/Sub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import errors
from mongo_gcp_stream.testing import Emulator

from tests.support.pages import blocks

if TYPE_CHECKING:
    import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/python-sink-and-validator.md"


def test_its_blocks_are_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = blocks(GUIDE.read_text(), "python")
    assert len(parts) == 4
    topic = "projects/my-project/topics/shop-orders"
    subscription = "projects/my-project/subscriptions/all"
    with Emulator() as pubsub:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
        pubsub.create_topic(topic)
        pubsub.create_subscription(subscription, topic)
        names: dict[str, Any] = {}
        exec("\n".join(parts), names)  # noqa: S102 - what the guide shows
        sent = pubsub.pull(subscription, wait_ms=0)
    assert len(sent) == 4
    for data, attributes, key, _ in sent:
        assert (json.loads(data)["customer"], key) == ("ann", "ann")
        assert attributes["source"] == "shop"


def test_its_errors_exist() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \|", GUIDE.read_text(), re.MULTILINE)
    assert len(rows) == 4
    assert set(rows) <= set(errors.__all__)
