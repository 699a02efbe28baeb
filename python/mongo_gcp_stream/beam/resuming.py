"""What stands between a read that is resumed and its sink, as far as building shows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.runners.common import DoFnSignature
from apache_beam.transforms.userstate import is_stateful_dofn

from mongo_gcp_stream.beam.read import ReadFromMongoDBChangeStream

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger(__name__)


def warn_of_sink(pcoll: beam.PCollection, step: str, *, ordered: bool) -> None:
    """Warn where a sink is not fused with a resumed read: by its own shuffle or a step before."""
    if not (ordered or shuffled(pcoll)):
        return
    for read in _resumed(pcoll):
        why = "by `ordered=True`" if ordered else "behind what is not fused with it"
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
    """Whether a runner may commit what comes to it before it has gone through."""
    if not isinstance(transform, beam.ParDo):
        return isinstance(transform, beam.GroupByKey)
    # The elements of a key are brought together for state, a side input has to be there before,
    # and what can be split is handed out anew.
    splittable = DoFnSignature(transform.fn).is_splittable_dofn()
    return bool(transform.side_inputs) or splittable or is_stateful_dofn(transform.fn)


def _resumed(pcoll: beam.PCollection) -> list[str]:
    """The labels of the reads that this comes from and that go on from a checkpoint."""
    labels = {
        applied.full_label
        for applied in _producers(pcoll)
        if isinstance(applied.transform, ReadFromMongoDBChangeStream) and applied.transform.resume
    }
    return sorted(labels)


def _producers(pcoll: beam.PCollection) -> Iterator[Any]:
    """The steps from our reads to a collection, each with what it is part of; a read as a whole."""
    to_see, seen = [pcoll], set()
    while to_see:
        applied = to_see.pop().producer
        whole = [applied] if applied is not None else []
        while whole and whole[-1].parent is not None:
            whole.append(whole[-1].parent)
        reads = [it for it in whole if isinstance(it.transform, ReadFromMongoDBChangeStream)]
        if applied is not None and applied not in seen and not reads:
            to_see.extend(applied.inputs)
        fresh = [it for it in reads or whole if it not in seen]
        seen.update(fresh)
        yield from fresh
