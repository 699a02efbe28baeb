"""Where a stream is, as Beam's runners keep it: restriction, tracker and watermark."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any, NamedTuple

from apache_beam.coders import Coder, registry
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider, WatermarkEstimatorProvider
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from mongo_gcp_stream._core import position_time

ClusterTime = tuple[int, int]
"""Seconds since the epoch, and the ordinal within the second."""

_VERSION = 1


class Stream(NamedTuple):
    """The element that a stream is read for; it travels beside its position.

    Attributes:
        name: `<connection id>.<source name>`.
        end: The last cluster time that is wanted; `None` for ever.
    """

    name: str
    end: ClusterTime | None


@dataclasses.dataclass(frozen=True)
class Position:
    """A part of a stream: what comes after a position. Never falsy: Beam drops what is.

    Attributes:
        after: Resume token or operation time, as the core writes it; `None` before the stream was
            opened for the first time: where `startup` says.
        end: The last cluster time that belongs to it; `None` for ever.
        finished: Nothing is left of it: its end is reached, or the rest was split off.
    """

    after: bytes | None = dataclasses.field(default=None, repr=False)
    end: ClusterTime | None = None
    finished: bool = False

    def time(self) -> Timestamp:
        """The second that nothing to come lies before."""
        time = position_time(self.after) if self.after else None
        return Timestamp(seconds=time[0]) if time else MIN_TIMESTAMP


class _VersionedCoder(Coder):
    """What runners keep over an update of the pipeline: JSON, with a version."""

    #: What it is, for errors.
    what: str

    def fields(self, value: Any) -> dict[str, Any]:
        raise NotImplementedError

    def value(self, fields: dict[str, Any]) -> Any:
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        fields = {"v": _VERSION, **self.fields(value)}
        return json.dumps(fields, separators=(",", ":")).encode()

    def decode(self, encoded: bytes) -> Any:
        fields = json.loads(encoded)
        if fields["v"] != _VERSION:
            raise ValueError(
                f"{self.what} has version {fields['v']}: a later version of mongo_gcp_stream wrote "
                "it; install that one, or start the pipeline anew"
            )
        return self.value(fields)

    def is_deterministic(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class PositionCoder(_VersionedCoder):
    """`Position`, which travels as the restriction."""

    what = "the position of a change stream"

    def fields(self, value: Position) -> dict[str, Any]:
        after = base64.b64encode(value.after).decode() if value.after else None
        return {"after": after, "end": value.end, "finished": value.finished}

    def value(self, fields: dict[str, Any]) -> Position:
        after = fields["after"]
        return Position(
            after=base64.b64decode(after) if after else None,
            end=_cluster_time(fields["end"]),
            finished=fields["finished"],
        )


class StreamCoder(_VersionedCoder):
    """`Stream`, which travels as the element."""

    what = "the name of a change stream"

    def fields(self, value: Stream) -> dict[str, Any]:
        return {"name": value.name, "end": value.end}

    def value(self, fields: dict[str, Any]) -> Stream:
        return Stream(fields["name"], _cluster_time(fields["end"]))


class WatermarkCoder(_VersionedCoder):
    """`Timestamp`, which travels as the state of the watermark."""

    what = "the watermark of a change stream"

    def fields(self, value: Timestamp) -> dict[str, Any]:
        return {"micros": value.micros}

    def value(self, fields: dict[str, Any]) -> Timestamp:
        return Timestamp(micros=fields["micros"])


def _cluster_time(field: list[int] | None) -> ClusterTime | None:
    return (field[0], field[1]) if field else None


registry.register_coder(Stream, StreamCoder)


class PositionTracker(RestrictionTracker):
    """Claims positions one after the other; splits only at what was claimed last.

    A change stream is read by one reader, in order: there is nothing to share out, so a runner that
    wants a part of what is left gets `None`. A split at 0, which is how runners take a checkpoint,
    works in any state.
    """

    def __init__(self, restriction: Position) -> None:
        self._restriction = restriction

    def current_restriction(self) -> Position:
        return self._restriction

    def try_claim(self, position: bytes | None) -> bool:
        """Claim all up to `position`; with `None`, that the end is reached."""
        if self._restriction.finished:
            return False
        if position is None:
            self._restriction = dataclasses.replace(self._restriction, finished=True)
        else:
            self._restriction = dataclasses.replace(self._restriction, after=position)
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Position, Position] | None:
        if fraction_of_remainder != 0 or self._restriction.finished:
            return None
        residual = self._restriction
        self._restriction = dataclasses.replace(residual, finished=True)
        return self._restriction, residual

    def check_done(self) -> bool:
        if not self._restriction.finished:
            raise ValueError("the change stream was left before its end, and not deferred")
        return True

    def current_progress(self) -> RestrictionProgress:
        """All or nothing: how much is still to come, nobody knows."""
        done = 1.0 if self._restriction.finished else 0.0
        # Beam puts the bytes given out in the place of what is completed, and these are NaN before
        # it has sampled one: a split would fail, if the fraction did not stand for itself.
        return RestrictionProgress(fraction=done, remaining=1.0 - done)

    def is_bounded(self) -> bool:
        return self._restriction.end is not None or self._restriction.finished


class MonotoneEstimator(ManualWatermarkEstimator):
    """A watermark that only ever grows."""

    def set_watermark(self, timestamp: Timestamp) -> None:
        super().set_watermark(max(timestamp, self.current_watermark()))


class Positions(RestrictionProvider):
    """The whole of a stream to begin with."""

    def initial_restriction(self, element: Stream) -> Position:
        return Position(end=element.end)

    def create_tracker(self, restriction: Position) -> PositionTracker:
        return PositionTracker(restriction)

    def restriction_size(self, element: Any, restriction: Position) -> float:  # noqa: ARG002
        return 0.0 if restriction.finished else 1.0

    def restriction_coder(self) -> PositionCoder:
        return PositionCoder()

    def truncate(self, element: Any, restriction: Position) -> None:  # noqa: ARG002
        """A drain ends the stream where it is."""
        return


class Watermarks(WatermarkEstimatorProvider):
    """Cluster time, as far as it was claimed."""

    def initial_estimator_state(
        self,
        element: Any,  # noqa: ARG002 -- the restriction tells
        restriction: Position,
    ) -> Timestamp:
        return restriction.time()

    def create_watermark_estimator(self, estimator_state: Timestamp) -> MonotoneEstimator:
        return MonotoneEstimator(estimator_state)

    def estimator_state_coder(self) -> WatermarkCoder:
        return WatermarkCoder()
