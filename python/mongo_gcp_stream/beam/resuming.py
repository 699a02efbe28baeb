"""What stands between a read that is resumed and its sink, as far as building shows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.transforms.userstate import is_stateful_dofn

from mongo_gcp_stream.beam.read import ReadFromMongoDBChangeStream

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger(__name__)


def warn_of_sink(pcoll: beam.PCollection, step: str, *, ordered: bool) -> None:
    """Warn where a sink gets what a resumed read gave by a shuffle: its own, or one before it."""
    if not (ordered or shuffled(pcoll)):
        return
    for read in _resumed(pcoll):
        why = "by `ordered=True`" if ordered else "behind a shuffle"
        warn(f"{step} publishes what {read} has read {why}")


def warn(what: str) -> None:
    """Warn that a pipeline may leave a gap to the one after it, and say what helps."""
    _logger.warning(
        "resume: %s: the position may be stored before it is published; drain the old pipeline "
        "before a new one goes on from there",
        what,
    )


def shuffled(pcoll: beam.PCollection) -> bool:
    """Whether what the runner has committed as read may not have come here yet."""
    return any(_shuffles(applied.transform) for applied in _producers(pcoll))


def _shuffles(transform: Any) -> bool:
    # A runner brings the elements of a key together for a step with state, too.
    stateful = isinstance(transform, beam.ParDo) and is_stateful_dofn(transform.fn)
    return stateful or isinstance(transform, beam.GroupByKey)


def _resumed(pcoll: beam.PCollection) -> list[str]:
    """The labels of the reads that this comes from and that go on from a checkpoint."""
    labels = {
        applied.full_label
        for applied in _producers(pcoll)
        if isinstance(applied.transform, ReadFromMongoDBChangeStream) and applied.transform.resume
    }
    return sorted(labels)


def _producers(pcoll: beam.PCollection) -> Iterator[Any]:
    """The steps that made a collection and all before it, each with what it is a part of."""
    to_see, seen = [pcoll], set()
    while to_see:
        applied = to_see.pop().producer
        if applied is not None and applied not in seen:
            to_see.extend(applied.inputs)
        while applied is not None and applied not in seen:
            seen.add(applied)
            yield applied
            applied = applied.parent
