"""The account of the demo: what came, how often, in which order, how late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Account:
    """Books messages and compares them with what the shop wrote.

    Order is kept when, for each document, the *first* deliveries of its events come in the order of
    its writes; a repetition (the same `event_id` again) may follow an outage and is only counted.

    Attributes:
        delivered: Different events.
        duplicates: Repetitions.
        out_of_order: Documents with a first delivery out of order.
    """

    def __init__(self) -> None:
        self.delivered: int = 0
        self.duplicates: int = 0
        self.out_of_order: set[str] = set()
        self._seen: set[str] = set()
        self._revisions: dict[str, int] = {}
        self._latencies_ms: list[float] = []

    @property
    def documents(self) -> int:
        """Different documents that an event has come of."""
        return len(self._revisions)

    def book(self, data: bytes, attributes: Mapping[str, str], published_ms: float) -> None:
        """Take a message into the account."""
        event_id = attributes["event_id"]
        if event_id in self._seen:
            self.duplicates += 1
            return
        self._seen.add(event_id)
        event = json.loads(data)
        document = json.dumps(event["documentKey"])
        written = _written_fields(event)
        if written["revision"] != self._revisions.get(document, 0) + 1:
            self.out_of_order.add(document)
        self._revisions[document] = max(written["revision"], self._revisions.get(document, 0))
        self._latencies_ms.append(published_ms - written["written_at_ms"])
        self.delivered += 1

    def latency_ms(self, quantile: float) -> float:
        """Time from the start of a write to its Publish; `quantile` 0.5 is the median."""
        if not self._latencies_ms:
            return 0.0
        ranked = sorted(self._latencies_ms)
        return ranked[min(len(ranked) - 1, int(quantile * len(ranked)))]

    def balances(self, written: int) -> bool:
        """Whether all that was written has come, in order for each document."""
        return self.delivered == written and not self.out_of_order


def _written_fields(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this very write set: an update's `fullDocument` may already show a later one."""
    fields: Mapping[str, Any] = (
        event["updateDescription"]["updatedFields"]
        if event["operationType"] == "update"
        else event["fullDocument"]
    )
    return fields
