"""Property: however bundles end, split, fail or overlap, none skips a change.

The stream is one in memory, since a server cannot be made to produce these orders of events; what
runs on it are the DoFn, its tracker and the readers that are kept, as they are.
"""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from typing import Any, Literal
from unittest.mock import patch

from apache_beam.utils.timestamp import Timestamp
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, read
from mongo_gcp_stream.beam.readers import READERS

from tests.support.bundles import Bundle, Reading, Source
from tests.support.fake_stream import FakeSources, FakeStream

READY = st.integers(0, 5)
GAP = st.integers(0, 2)
#: At which of the moments of a bundle the runner splits it.
SPLIT = st.none() | st.integers(0, 16)
FRACTION = st.sampled_from([0.0, 0.0, 0.5])


@functools.cache
def source(output: Literal["batches", "events"], end: int | None, resumed: bool) -> Source:
    end_at = datetime.fromtimestamp(end, timezone.utc) if end else None
    where = ("mongodb://localhost", "shop", "orders")
    follows: dict[str, Any] = {
        "resume": "RESUME_OR_NEW",
        "checkpoint": {"store": "file", "path": "nowhere"},
    }
    further = follows if resumed else {}
    read = ReadFromMongoDBChangeStream(
        *where, output=output, batch_size=3, end_at=end_at, **further
    )
    return Source(read)


class Runner(RuleBasedStateMachine):
    """A runner that does whatever runners may do."""

    def __init__(self) -> None:
        super().__init__()
        READERS.close()
        self.stream = FakeStream()
        self.zombies: list[Bundle] = []
        #: All that went out, of bundles that did not count, too.
        self.seen: set[int] = set()
        #: How many items lay before the position that the stream opened at.
        self.began: int | None = None
        #: Bundles that count, and that the runner has not told so yet.
        self.unfinalized: list[Bundle] = []
        #: What earlier pipelines have committed, up to which item, and what went out of them.
        self.before: set[int] = set()
        self.reached: int | None = None
        self.seen_before: set[int] = set()
        self._patches: list[Any] = [
            patch.object(read, "sources_of", FakeSources(self.stream)),
            patch.object(READERS, "give_back", self._give_back),
        ]
        self._give_back_unwatched = READERS.give_back
        for each in self._patches:
            each.start()

    @initialize(
        output=st.sampled_from(["batches", "events"]),
        end=st.none() | st.integers(1000, 1006),
        earliest=st.booleans(),
        resumed=st.booleans(),
        before=st.lists(GAP, max_size=5),
    )
    def begin(
        self, output: Any, end: int | None, earliest: bool, resumed: bool, before: list[int]
    ) -> None:
        """A pipeline on a stream that has some changes already."""
        self.end = end
        self.resumed = resumed
        self.reading = Reading(source(output, end, resumed))
        self.stream.earliest = earliest
        for gap in before:
            self.stream.append(gap)

    def _give_back(self, *arguments: Any) -> None:
        self.stream.moment()
        self._give_back_unwatched(*arguments)
        self.stream.moment()

    def is_open(self) -> bool:
        """Whether the stream is not over."""
        return self.reading.left is not None

    @rule(gap=GAP, change=st.sampled_from([True, True, False]))
    def arrive(self, gap: int, change: bool) -> None:
        """A change or a no-op."""
        self.stream.append(gap, change=change)

    @precondition(is_open)
    @rule(ready=READY, split=SPLIT, fraction=FRACTION)
    def commit(self, ready: int, split: int | None, fraction: float) -> None:
        """A bundle that counts."""
        bundle = self._run(ready, split, fraction)
        self.reading.commit(bundle)
        self.unfinalized.append(bundle)
        if self.began is None and self.reading.left and self.reading.left.position.after:
            self.began = self.stream.index(self.reading.left.position.after)
            assert self.reached is None or self.began <= self.reached, "a gap between pipelines"

    @precondition(lambda self: self.unfinalized)
    @rule(which=st.integers(0, 5), lost=st.booleans())
    def finalize(self, which: int, lost: bool) -> None:
        """The runner tells a bundle that it counts, in any order, or forgets to."""
        bundle = self.unfinalized.pop(which % len(self.unfinalized))
        if not lost:
            bundle.finalizer.finalize_bundle()

    @precondition(lambda self: self.resumed and self.began is not None)
    @rule()
    def start_again(self) -> None:
        """Another pipeline goes on from the checkpoint."""
        self.crash()
        self.reached = max(self.reached or 0, self._committed())
        self.before = self._counted()
        self.seen_before |= self.seen
        self.seen.clear()
        self.reading = Reading(self.reading.source)
        self.began = None
        self.unfinalized.clear()

    @precondition(is_open)
    @rule(ready=READY, split=SPLIT, fails=st.booleans(), steps=st.integers(0, 5))
    def discard(self, ready: int, split: int | None, fails: bool, steps: int) -> None:
        """A bundle that does not count: a stage after it fails, or the runner's commit does."""
        bundle = self._run(ready, split, 0.0, steps if fails else None)
        if fails:
            bundle.fail()

    @precondition(is_open)
    @rule(ready=READY, steps=st.integers(1, 3))
    def linger(self, ready: int, steps: int) -> None:
        """A bundle that the runner has given up, and that goes on."""
        self.zombies.append(self._run(ready, None, 0.0, steps))

    @precondition(lambda self: self.zombies)
    @rule(ready=READY)
    def end_zombie(self, ready: int) -> None:
        """It ends at last, and gives back its reader."""
        self.stream.ready = ready
        zombie = self.zombies.pop(0)
        zombie.end()
        self._note(zombie)

    @rule()
    def crash(self) -> None:
        """The worker ends, and another one begins."""
        for zombie in self.zombies:
            zombie.fail()
        self.zombies.clear()
        READERS.close()

    @rule()
    def evict(self) -> None:
        """Readers that nobody took are closed."""
        READERS.close()

    def _run(
        self, ready: int, split: int | None, fraction: float, steps: int | None = None
    ) -> Bundle:
        """Run a bundle to its end, or some steps of it, and split it at one of its moments."""
        bundle = self.reading.start()
        moments = iter(range(1000))

        def moment() -> None:
            if next(moments) == split:
                bundle.split(fraction)

        self.stream.ready, self.stream.moment = ready, moment
        moment()
        while (steps is None or len(bundle.outputs) < steps) and bundle.step():
            moment()
        moment()
        self.stream.moment = lambda: None
        self._note(bundle)
        return bundle

    def _read_on(self, bundles: int) -> None:
        for _ in range(bundles):
            if self.reading.left:
                self.commit(100, None, 0.0)

    def _note(self, bundle: Bundle) -> None:
        for output in bundle.outputs:
            numbers = numbers_of(output)
            self.seen.update(numbers)
            seconds = {self.stream.items[number].time[0] for number in numbers}
            assert {Timestamp(second) for second in seconds} == {output.timestamp}

    def _counted(self) -> set[int]:
        """The changes that have gone out of bundles that count."""
        found = (number for output in self.reading.outputs for number in numbers_of(output))
        return self.before | set(found)

    def _committed(self) -> int:
        """How many items lie before the position that the runner keeps."""
        if left := self.reading.left:
            return self.stream.index(left.position.after or b"")
        # It may have opened behind its end.
        within = sum(item.time[0] <= (self.end or 0) for item in self.stream.items)
        return max(self.began or 0, within)

    @invariant()
    def no_checkpoint_ahead(self) -> None:
        """Whoever goes on from it misses nothing."""
        committed = None if self.began is None else self._committed()
        safe = [at for at in (self.reached, committed) if at is not None]
        if self.stream.stored and safe:
            assert self.stream.index(self.stream.stored) <= max(safe)

    @invariant()
    def no_gap(self) -> None:
        """What counts is the stream, from its opening up to the position that is kept."""
        if not hasattr(self, "reading"):
            return
        counted = [number for output in self.reading.outputs for number in numbers_of(output)]
        if self.began is None:
            assert not self.seen, "something went out before the opening was safe"
            return
        wanted = self.stream.items[self.began :]
        if left := self.reading.left:
            at = self.stream.index(left.position.after or b"")
            wanted = self.stream.items[self.began : at]
            rest = self.stream.items[at:]
            assert all(left.watermark <= Timestamp(item.time[0]) for item in rest), "late data"
        elif self.end:
            wanted = [item for item in wanted if item.time[0] <= self.end]
        assert counted == [item.number for item in wanted if item.number is not None]

    def teardown(self) -> None:
        """Read on to the end: nothing that went out is missing, and no change."""
        if hasattr(self, "reading"):
            self.crash()
            self._read_on(1)
            self.stream.append(9)
            self._read_on(len(self.stream.items) + 1)
            self.no_gap()
            assert (self.reading.left is None) == (self.end is not None)
            counted = self._counted()
            assert self.seen | self.seen_before <= counted
            assert self.end or max(counted) == len(self.stream.items) - 1
        READERS.close()
        for each in self._patches:
            each.stop()


def numbers_of(output: Any) -> list[int]:
    return output.value if isinstance(output.value, list) else [output.value]


#: Without the phase that explains a failure, which traces every line of every run.
PHASES = [phase for phase in Phase if phase is not Phase.explain]
Runner.TestCase.settings = settings(
    max_examples=200, stateful_step_count=30, deadline=None, phases=PHASES
)
test_no_bundle_skips_a_change = Runner.TestCase
