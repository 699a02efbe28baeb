"""What runners keep of a stream: position, watermark and name, and how positions are claimed."""

from __future__ import annotations

import math
import re
from typing import Any

import bson
import pytest
from apache_beam.coders import registry
from apache_beam.runners.sdf_utils import ThreadsafeRestrictionTracker
from apache_beam.runners.worker.bundle_processor import DataInputOperation
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from bson import Timestamp as ClusterTime
from mongo_gcp_stream._core import position_at
from mongo_gcp_stream.beam.restriction import (
    Position,
    PositionCoder,
    Positions,
    PositionTracker,
    Stream,
    StreamCoder,
    WatermarkCoder,
    Watermarks,
)

# Positions as the core writes them, at a cluster time of 0x6553F100 seconds.
TOKEN = bson.encode({"token": {"_data": "826553F100000000032B0229296E04"}})
TIME = bson.encode({"operation_time": ClusterTime(0x6553F100, 3)})
SECOND = 0x6553F100

#: Kept by running pipelines: versions to come have to read these very bytes.
GOLDEN: list[tuple[Any, Any, bytes]] = [
    (PositionCoder(), Position(), b'{"v":1,"after":null,"end":null,"finished":false}'),
    (
        PositionCoder(),
        Position(TIME),
        b'{"v":1,"after":"HQAAABFvcGVyYXRpb25fdGltZQADAAAAAPFTZQA=","end":null,"finished":false}',
    ),
    (
        PositionCoder(),
        Position(TOKEN, end=(SECOND + 9, 0xFFFF_FFFF), finished=True),
        (
            b'{"v":1,"after":"OwAAAAN0b2tlbgAvAAAAAl9kYXRhAB8AAAA4MjY1NTNGMTAwMDAwMDAwMDMyQjAyMjky'
            b'OTZFMDQAAAA=","end":[1700000009,4294967295],"finished":true}'
        ),
    ),
    (WatermarkCoder(), Timestamp(SECOND), b'{"v":1,"micros":1700000000000000}'),
    (WatermarkCoder(), MIN_TIMESTAMP, b'{"v":1,"micros":-9223372036854775000}'),
    (StreamCoder(), Stream("main.orders", None), b'{"v":1,"name":"main.orders","end":null}'),
    (StreamCoder(), Stream("main.orders", (9, 1)), b'{"v":1,"name":"main.orders","end":[9,1]}'),
]


@pytest.mark.parametrize(("coder", "value", "encoded"), GOLDEN)
def test_what_runners_keep_is_written_and_read_as_ever(
    coder: Any, value: Any, encoded: bytes
) -> None:
    assert coder.encode(value) == encoded
    decoded = coder.decode(encoded)
    assert decoded == value
    assert type(decoded) is type(value)
    assert coder.is_deterministic()


@pytest.mark.parametrize("coder", [PositionCoder(), WatermarkCoder(), StreamCoder()])
def test_what_a_later_version_wrote_is_refused(coder: Any) -> None:
    later = b'{"v":2,"after":"AAAA","micros":1,"name":"main.orders","more":true}'
    with pytest.raises(ValueError, match="has version 2: a later version of mongo_gcp_stream"):
        coder.decode(later)


def test_coders_of_one_kind_are_equal() -> None:
    """Or else a runner takes the coders of two stages for different ones."""
    assert PositionCoder() == PositionCoder() != WatermarkCoder()
    assert len({PositionCoder(), PositionCoder(), WatermarkCoder()}) == 2
    assert registry.get_coder(Stream) == StreamCoder()
    assert Positions().restriction_coder() == PositionCoder()
    assert Watermarks().estimator_state_coder() == WatermarkCoder()


def test_a_position_is_never_falsy_and_does_not_show_its_token() -> None:
    """Beam drops a residual that is falsy; a token holds the `_id` of a document."""
    positions = [Position(), Position(TOKEN), Position(TIME, end=(0, 0)), Position(finished=True)]
    assert all(positions)
    assert len({*positions, *positions}) == 4
    for position in positions:
        assert not re.search("_data|6553F1", repr(position))


def test_a_position_tells_the_second_that_nothing_to_come_lies_before() -> None:
    assert Position(TOKEN).time() == Position(TIME).time() == Timestamp(SECOND)
    assert Position(position_at(SECOND)).time() == Timestamp(SECOND)
    assert Position().time() == MIN_TIMESTAMP
    unknown = bson.encode({"token": {"_data": "zz"}})
    assert Position(unknown).time() == MIN_TIMESTAMP


def test_claims_move_the_position() -> None:
    tracker = PositionTracker(Position(end=(SECOND, 1)))
    assert tracker.try_claim(TIME)
    assert tracker.try_claim(TOKEN)
    assert tracker.current_restriction() == Position(TOKEN, end=(SECOND, 1))
    with pytest.raises(ValueError, match="left before its end, and not deferred"):
        tracker.check_done()
    assert tracker.try_claim(None)
    assert tracker.check_done()
    assert not tracker.try_claim(TOKEN)
    assert not tracker.try_claim(None)


@pytest.mark.parametrize("claims", [(), (TIME,), (TIME, TOKEN)])
def test_a_split_at_0_leaves_what_was_not_claimed(claims: tuple[bytes, ...]) -> None:
    tracker = PositionTracker(Position(end=(SECOND, 1)))
    for claim in claims:
        assert tracker.try_claim(claim)
    after = claims[-1] if claims else None
    primary, residual = tracker.try_split(0) or pytest.fail("it was not split")
    assert residual == Position(after, end=(SECOND, 1))
    assert primary == tracker.current_restriction() == Position(after, (SECOND, 1), finished=True)
    assert tracker.check_done()
    assert not tracker.try_claim(TOKEN)
    assert tracker.try_split(0) is None


def test_nothing_is_left_to_split_after_the_end() -> None:
    tracker = PositionTracker(Position(TIME))
    tracker.try_claim(None)
    assert tracker.try_split(0) is None
    assert PositionTracker(Position(TIME, finished=True)).try_split(0) is None


@pytest.mark.parametrize("fraction", [0.01, 0.5, 1.0])
def test_other_fractions_are_refused_and_change_nothing(fraction: float) -> None:
    """A change stream has one reader: there is nothing to share out."""
    tracker = PositionTracker(Position(TIME))
    assert tracker.try_split(fraction) is None
    assert tracker.current_restriction() == Position(TIME)
    assert tracker.try_claim(TOKEN)


def test_what_is_deferred_is_handed_to_the_runner() -> None:
    tracker = ThreadsafeRestrictionTracker(Positions().create_tracker(Position()))
    tracker.defer_remainder()
    residual, delay = tracker.deferred_status() or pytest.fail("nothing was deferred")
    assert residual == Position()
    assert delay.micros == 0
    assert tracker.check_done()


def test_only_a_stream_with_an_end_is_bounded() -> None:
    assert not PositionTracker(Position(TIME)).is_bounded()
    assert PositionTracker(Position(TIME, end=(SECOND, 1))).is_bounded()
    primary, _ = PositionTracker(Position(TIME)).try_split(0) or pytest.fail("it was not split")
    assert PositionTracker(primary).is_bounded()


def test_progress_is_all_or_nothing() -> None:
    tracker = PositionTracker(Position(TIME))
    assert tracker.current_progress().completed_work == 0
    tracker.try_claim(None)
    assert tracker.current_progress().remaining_work == 0
    assert Positions().restriction_size(Stream("main.orders", None), Position(TIME)) > 0


def test_a_split_of_a_bundle_that_beam_has_not_sampled_yet_is_no_error() -> None:
    """Beam's estimate of the bytes given out, NaN at first, takes the place of what is done."""
    progress = PositionTracker(Position(TOKEN)).current_progress().with_completed(math.nan)
    done = progress.fraction_completed
    split = DataInputOperation._compute_split(0, done, math.inf, 0.5, 1)  # noqa: SLF001
    assert split == (0, [], [], 1), "between elements: the one that is read stays whole"
    assert progress.remaining_work == 1


def test_a_stream_begins_before_its_opening_and_ends_where_it_is_drained() -> None:
    positions, stream = Positions(), Stream("main.orders", (SECOND, 1))
    assert positions.initial_restriction(stream) == Position(end=(SECOND, 1))
    assert list(positions.split(stream, Position())) == [Position()]
    assert positions.truncate(stream, Position(TIME)) is None  # type: ignore[func-returns-value]


def test_the_watermark_only_grows() -> None:
    watermarks = Watermarks()
    stream = Stream("main.orders", None)
    assert watermarks.initial_estimator_state(stream, Position()) == MIN_TIMESTAMP
    state = watermarks.initial_estimator_state(stream, Position(TOKEN))
    estimator = watermarks.create_watermark_estimator(state)
    seen = []
    for seconds in (SECOND + 2, SECOND + 1, SECOND + 3):
        estimator.set_watermark(Timestamp(seconds))
        seen.append(estimator.current_watermark())
    estimator.set_watermark(MIN_TIMESTAMP)  # where a token does not tell
    seen.append(estimator.get_estimator_state())
    assert seen == [Timestamp(SECOND + more) for more in (2, 2, 3, 3)]
