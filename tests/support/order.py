"""What "nothing lost, order kept" means, for every test.

Per document, the *first* deliveries of its events (by `event_id`) come in the order of the stream.
A stretch that is delivered again may follow a timeout or a restart: it repeats `event_id`s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Delivered(Protocol):
    """A message that Pub/Sub has committed."""

    @property
    def data(self) -> bytes:
        """Its payload."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Its attributes."""

    @property
    def ordering_key(self) -> str:
        """Its ordering key."""


def first_deliveries(messages: Iterable[Delivered]) -> list[Delivered]:
    """Leave out every message whose `event_id` came before."""
    seen: dict[str, Delivered] = {}
    for message in messages:
        seen.setdefault(message.attributes["event_id"], message)
    return list(seen.values())


def assert_delivered(messages: Iterable[Delivered], revisions: Mapping[int, int]) -> None:
    """Assert that every write of every document has come, in order, and nothing else.

    Args:
        messages: In the order in which they were committed.
        revisions: For each document's `_id` the number of its writes, as `Orders` counts them.
    """
    came: dict[int, list[int]] = {}
    keys: dict[int, set[str]] = {}
    for message in first_deliveries(messages):
        event = json.loads(message.data)
        document = event["documentKey"]["_id"]
        came.setdefault(document, []).append(revision(event))
        keys.setdefault(document, set()).add(message.ordering_key)
    wrong = {
        document: came.get(document, [])
        for document in revisions.keys() | came.keys()
        if came.get(document) != list(range(1, revisions.get(document, 0) + 1))
    }
    assert not wrong, f"lost, foreign or out of order: {dict(list(wrong.items())[:5])}"
    spread = {document for document, used in keys.items() if len(used) > 1}
    assert not spread, f"documents on more than one ordering key: {sorted(spread)[:5]}"


def revision(event: Mapping[str, Any]) -> int:
    """Tell which write of its document an event is: an update's look-up may show a later one."""
    fields = (
        event["updateDescription"]["updatedFields"]
        if event["operationType"] == "update"
        else event["fullDocument"]
    )
    number: int = fields["revision"]
    return number
