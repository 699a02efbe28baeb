"""What a pipeline counts, under one namespace: `result.metrics()`, and the runner's page."""

from __future__ import annotations

from typing import Any

from apache_beam.metrics import Metrics

NAMESPACE = "mongo_gcp_stream"


def counter(name: str) -> Any:
    """A counter; cheap to make, and bound to the step that it is used in."""
    return Metrics.counter(NAMESPACE, name)


def distribution(name: str) -> Any:
    """Sum, count, least and most of whole numbers."""
    return Metrics.distribution(NAMESPACE, name)
