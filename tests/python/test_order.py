"""The judge of all end-to-end tests is itself judged: it passes repetitions and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.support.order import assert_delivered, first_deliveries


@dataclass(frozen=True)
class Message:
    """A message as the fake records it."""

    data: bytes
    attributes: dict[str, str]
    ordering_key: str


def message(document: int, revision: int, *, event_id: str = "", key: str = "") -> Message:
    """Make the message of a document's first write (an insert) or of a later one (an update)."""
    event: dict[str, object] = {"documentKey": {"_id": document}}
    fields = {"revision": revision}
    if revision == 1:
        event |= {"operationType": "insert", "fullDocument": fields}
    else:
        event |= {"operationType": "update", "updateDescription": {"updatedFields": fields}}
    event_id = event_id or f"{document}-{revision}"
    return Message(json.dumps(event).encode(), {"event_id": event_id}, key or f"main/{document}")


IN_ORDER = [message(1, 1), message(2, 1), message(1, 2), message(2, 2), message(1, 3)]
REVISIONS = {1: 3, 2: 2}


def test_each_once_in_order() -> None:
    assert_delivered(IN_ORDER, REVISIONS)


def test_a_stretch_that_comes_again() -> None:
    assert_delivered([*IN_ORDER[:3], *IN_ORDER], REVISIONS)
    assert len(first_deliveries([*IN_ORDER[:3], *IN_ORDER])) == len(IN_ORDER)


def test_nothing_of_nothing() -> None:
    assert_delivered([], {})


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([], id="all lost"),
        pytest.param(IN_ORDER[:-1], id="the last lost"),
        pytest.param(IN_ORDER[1:], id="the first lost"),
        pytest.param([IN_ORDER[2], *IN_ORDER], id="the second write first"),
        pytest.param([*IN_ORDER, message(3, 1)], id="a document that nobody wrote"),
        pytest.param([*IN_ORDER, message(1, 3, event_id="other")], id="another id for an event"),
        pytest.param([*IN_ORDER[:-1], message(1, 3, key="main/9")], id="another ordering key"),
    ],
)
def test_what_is_wrong(messages: list[Message]) -> None:
    with pytest.raises(AssertionError, match=r"lost, foreign or out of order|ordering key"):
        assert_delivered(messages, REVISIONS)
