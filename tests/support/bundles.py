"""A source of Beam read without a runner, as a runner does it: bundle by bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.common import DoFnSignature
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.sdf_utils import (
    RestrictionTrackerView,
    ThreadsafeRestrictionTracker,
    ThreadsafeWatermarkEstimator,
)
from apache_beam.transforms.core import _BundleFinalizerParam

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apache_beam.utils.timestamp import Duration, Timestamp
    from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream
    from mongo_gcp_stream.beam.restriction import Position, Stream


class Source(PipelineVisitor):  # type: ignore[misc]  # Beam has no types
    """What a read brings into a pipeline: its streams, and the DoFn that reads them."""

    def __init__(self, transform: ReadFromMongoDBChangeStream) -> None:
        pipeline = beam.Pipeline(runner=PrismRunner())
        _ = pipeline | transform
        pipeline.visit(self)
        signature = DoFnSignature(self.dofn)
        self.positions = signature.get_restriction_provider()
        self.watermarks = signature.get_watermark_estimator_provider()

    def enter_composite_transform(self, transform_node: Any) -> None:
        """Called by Beam."""
        if isinstance(transform_node.transform, beam.Create):
            self.streams: list[Stream] = list(transform_node.transform.values)

    def visit_transform(self, transform_node: Any) -> None:
        """Called by Beam."""
        if transform_node.full_label.endswith("/Read"):
            self.dofn: beam.DoFn = transform_node.transform.dofn

    def beginning(self, stream: Stream) -> Left:
        """What is left of a stream before anything was read."""
        position = self.positions.initial_restriction(stream)
        return Left(position, self.watermarks.initial_estimator_state(stream, position))

    def carried(self, left: Left) -> Left:
        """What is left of a stream after it was written and read, as between bundles."""
        coders = self.positions.restriction_coder(), self.watermarks.estimator_state_coder()
        return Left(
            *(coder.decode(coder.encode(it)) for coder, it in zip(coders, left, strict=True))
        )


class Left(NamedTuple):
    """What a runner keeps of a stream between two bundles."""

    position: Position
    watermark: Timestamp


class Bundle:
    """One bundle, step by step.

    Args:
        begun: Other streams of the same bundle came before.

    Attributes:
        outputs: What came out so far, with its timestamp.
        residual: What is left, once it was split off or deferred.
        delay: After how long the runner is to go on.
    """

    def __init__(self, source: Source, stream: Stream, left: Left, *, begun: bool = False) -> None:
        if not begun:
            source.dofn.start_bundle()
        position, watermark = source.carried(left)
        self.tracker = ThreadsafeRestrictionTracker(source.positions.create_tracker(position))
        self._watermark = ThreadsafeWatermarkEstimator(
            source.watermarks.create_watermark_estimator(watermark)
        )
        self.finalizer = _BundleFinalizerParam()
        self.outputs: list[beam.window.TimestampedValue] = []
        self.residual: Left | None = None
        self.delay: Duration | None = None
        self._process: Iterator[beam.window.TimestampedValue] = source.dofn.process(
            stream,
            finalizer=self.finalizer,
            tracker=RestrictionTrackerView(self.tracker),
            watermark=self._watermark,
        )

    def step(self) -> bool:
        """Go on to the next output; false at the end."""
        for output in self._process:
            self.outputs.append(output)
            return True
        return False

    def split(self, fraction: float = 0.0) -> bool:
        """Split as a runner does at any moment; whether there was something to split off."""
        watermark = self._watermark.get_estimator_state()  # a worker asks before it splits
        split = self.tracker.try_split(fraction)
        if split:
            self.residual = Left(split[1], watermark)
        return bool(split)

    def end(self) -> Left | None:
        """Process what is left of the bundle; what is left of the stream."""
        while self.step():
            pass
        assert self.tracker.check_done()
        assert self.finalizer.has_callbacks(), "Prism logs a traceback for a bundle without"
        if deferred := self.tracker.deferred_status():
            assert self.residual is None, "it was split off and deferred"
            position, self.delay = deferred
            self.residual = Left(position, self._watermark.get_estimator_state())
        return self.residual

    def fail(self) -> None:
        """End as where a stage after it fails."""
        self._process.close()  # type: ignore[attr-defined]


class Reading:
    """A stream read bundle by bundle, each committed.

    Attributes:
        left: What the runner keeps; `None` once the stream is over.
        outputs: What all committed bundles gave.
    """

    def __init__(self, source: Source, stream: int = 0) -> None:
        self.source = source
        self.stream = self.source.streams[stream]
        self.left: Left | None = self.source.beginning(self.stream)
        self.outputs: list[beam.window.TimestampedValue] = []

    def start(self) -> Bundle:
        """A bundle that begins where the last one that was committed ended."""
        assert self.left, "the stream is over"
        return Bundle(self.source, self.stream, self.left)

    def commit(self, bundle: Bundle) -> Bundle:
        """Let a bundle end and count."""
        before, self.left = self.left, bundle.end()
        assert before
        if self.left:
            assert self.left.watermark >= before.watermark, "a watermark never goes back"
        assert all(output.timestamp >= before.watermark for output in bundle.outputs)
        self.outputs += bundle.outputs
        return bundle

    def bundle(self) -> Bundle:
        """A whole bundle, committed."""
        return self.commit(self.start())

    def open(self) -> None:
        """Read until the position that the stream opened at is safe."""
        eventually(lambda: self.bundle() and self.left and self.left.position.after, "it opened")

    def until(self, count: int) -> list[Any]:
        """Read until there are so many outputs, and return them all."""
        eventually(lambda: self.bundle() and len(self.outputs) >= count, f"{count} outputs")
        return [output.value for output in self.outputs]
