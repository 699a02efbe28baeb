"""What a pipeline counts, under one namespace: `result.metrics()`, and the runner's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apache_beam.metrics import Metrics

if TYPE_CHECKING:
    from mongo_gcp_stream._core import MessageBatch

NAMESPACE = "mongo_gcp_stream"


def counter(name: str) -> Any:
    """A counter; cheap to make, and bound to the step that it is used in."""
    return Metrics.counter(NAMESPACE, name)


class EventCounters:
    """Counts what became of events that made no message of the usual kind."""

    def __init__(self) -> None:
        self._invalid = counter("invalid")
        self._skipped = counter("skipped")

    def note(self, made: MessageBatch) -> None:
        """Count what `made` tells of its events."""
        if made.invalid:
            self._invalid.inc(made.invalid)
        if made.skipped:
            self._skipped.inc(made.skipped)


def distribution(name: str) -> Any:
    """Sum, count, least and most of whole numbers."""
    return Metrics.distribution(NAMESPACE, name)
