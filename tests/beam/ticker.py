"""An unbounded source without anything behind it: it counts, then idles, and never ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider, WatermarkEstimatorProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ticks(NamedTuple):
    """The seconds from `start` on, up to `stop` where the rest was split off."""

    start: int
    stop: int | None = None


class TicksTracker(RestrictionTracker):
    """Claims second by second; splits only behind what was claimed."""

    def __init__(self, restriction: Ticks) -> None:
        self._restriction = restriction
        self._next = restriction.start

    def current_restriction(self) -> Ticks:
        return self._restriction

    def try_claim(self, position: int) -> bool:
        if self._restriction.stop is not None:
            return False
        self._next = position + 1
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Ticks, Ticks] | None:
        if fraction_of_remainder != 0 or self._restriction.stop is not None:
            return None
        self._restriction = self._restriction._replace(stop=self._next)
        return self._restriction, Ticks(self._next)

    def check_done(self) -> bool:
        if self._restriction.stop is None:
            raise ValueError("left without deferring the rest")
        return True

    def current_progress(self) -> RestrictionProgress:
        return RestrictionProgress(completed=0.0, remaining=1.0)

    def is_bounded(self) -> bool:
        return self._restriction.stop is not None


class _AllTicks(RestrictionProvider):
    def initial_restriction(self, element: Any) -> Ticks:  # noqa: ARG002
        return Ticks(0)

    def create_tracker(self, restriction: Ticks) -> TicksTracker:
        return TicksTracker(restriction)

    def restriction_size(self, element: Any, restriction: Ticks) -> float:  # noqa: ARG002
        return 1.0


class _Watermarks(WatermarkEstimatorProvider):
    def initial_estimator_state(self, element: Any, restriction: Ticks) -> Timestamp:  # noqa: ARG002
        return MIN_TIMESTAMP

    def create_watermark_estimator(self, estimator_state: Timestamp) -> ManualWatermarkEstimator:
        return ManualWatermarkEstimator(estimator_state)

    def estimator_state_coder(self) -> FastPrimitivesCoder:
        return FastPrimitivesCoder()


class Ticker(beam.DoFn):
    """Emits the numbers 0, 1, … at as many seconds of event time, one a bundle.

    Behind the last it goes on without elements: the watermark moves by a second a bundle.
    """

    def __init__(self, elements: int, on_finalize: Any = None) -> None:
        self._elements = elements
        self._on_finalize = on_finalize

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: str,  # noqa: ARG002
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # Beam wants it before the others
        tracker: Any = beam.DoFn.RestrictionParam(_AllTicks()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(_Watermarks()),
    ) -> Iterator[TimestampedValue]:
        second = tracker.current_restriction().start
        finalizer.register(lambda: self._finalized(second))
        if not tracker.try_claim(second):
            return
        if second < self._elements:
            yield TimestampedValue(second, Timestamp(second))
        watermark.set_watermark(Timestamp(second))
        tracker.defer_remainder(Duration(micros=50_000))

    def _finalized(self, second: int) -> None:
        if self._on_finalize is not None:
            self._on_finalize.add(second)
