"""One step of a transform of Beam, driven without a runner, and elements to drive it with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apache_beam as beam
import bson
from apache_beam.internal import pickler
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from bson.binary import Binary
from mongo_gcp_stream.beam import ChangeBatch, ValidateAndEnrich

if TYPE_CHECKING:
    from mongo_gcp_stream.beam import MessageBatch

TOPIC = "projects/demo/topics/orders"
LETTERS = "projects/demo/topics/letters"
STREAM = "main.orders"
SECOND = 1_700_000_000


class Step(PipelineVisitor):  # type: ignore[misc]  # Beam has no types
    """A DoFn, as a worker gets it: pickled and unpickled, and set up; the first of its name."""

    def __init__(self, transform: beam.PTransform, name: str) -> None:
        self._name = name
        self._found = False
        pipeline = beam.Pipeline(runner=FnApiRunner())
        _ = pipeline | beam.Create([b""]) | transform
        pipeline.visit(self)
        self.dofn.setup()

    def visit_transform(self, transform_node: Any) -> None:
        """Called by Beam."""
        if not self._found and f"/{self._name}" in transform_node.full_label:
            self._found = True
            self.dofn: Any = pickler.loads(pickler.dumps(transform_node.transform.dofn))

    def bundle(self, *elements: Any) -> list[Any]:
        """What a whole bundle gives."""
        self.dofn.start_bundle()
        outputs = [output for element in elements for output in self.process(element)]
        return outputs + list(self.dofn.finish_bundle() or ())

    def process(self, element: Any) -> list[Any]:
        """What an element gives."""
        return list(self.dofn.process(element) or ())


def event(number: int, **document: Any) -> dict[str, Any]:
    """The change event of the insert of document `number` into `shop.orders`."""
    return {
        "_id": {"_data": f"82{SECOND:08x}{number + 1:08x}2B022C0100296E04"},
        "operationType": "insert",
        "clusterTime": bson.Timestamp(SECOND, number + 1),
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": number},
        "fullDocument": {"_id": number, **document},
    }


def dropped(number: int) -> dict[str, Any]:
    """The change event that the collection is gone: in order with all others."""
    told = event(number)
    return {key: told[key] for key in ("_id", "clusterTime", "ns")} | {"operationType": "drop"}


def batch(*events: dict[str, Any], stream: str = STREAM) -> ChangeBatch:
    """Events as the reader gives them."""
    raw = b"".join(bson.encode(event) for event in events)
    written = {"v": 1, "stream": stream, "events": Binary(raw)}
    return ChangeBatch.from_bytes(bson.encode(written))


def batches(count: int, size: int = 10, *, of: int = 7, stream: str = STREAM) -> list[ChangeBatch]:
    """Batches of events, in which a customer's orders are numbered by `n`."""
    numbers = range(count * size)
    events = [event(number, customer=number % of, n=number // of) for number in numbers]
    return [
        batch(*events[start : start + size], stream=stream) for start in range(0, len(events), size)
    ]


def messages(*changes: ChangeBatch, **arguments: Any) -> list[MessageBatch]:
    """The messages that `ValidateAndEnrich` makes of changes."""
    step = Step(ValidateAndEnrich(**arguments), "Apply")
    return [output for change in changes for output in step.process(change)]
