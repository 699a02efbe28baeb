"""Elections in mid-stream: nothing is lost, the order is kept, and the statistics tell of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from pymongo.errors import PyMongoError

from tests.support.line import STREAM, Line
from tests.support.many import Streams, written
from tests.support.replica_set import ReplicaSet
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mongo_gcp_stream.testing import Mongod

    from tests.support.orders import Orders
    from tests.support.pubsub_fake import PubSubFake

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def replica_set() -> Iterator[ReplicaSet]:
    """Three members, whole again at the start of each test."""
    with ReplicaSet() as members:
        yield members


@pytest.fixture
def emulated(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    """The fake, found by a runner of this process."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    return pubsub


def _step_down(replica_set: ReplicaSet) -> None:
    replica_set.step_down()


def _kill(replica_set: ReplicaSet) -> None:
    replica_set.kill_primary().start()


@pytest.mark.parametrize(("elect", "interrupts"), [(_step_down, False), (_kill, True)])
def test_an_election_in_mid_stream(
    tmp_path: Path,
    emulated: PubSubFake,
    replica_set: ReplicaSet,
    elect: Callable[[ReplicaSet], None],
    interrupts: bool,
) -> None:
    """A cursor outlives the step-down of its member; that of one that is killed is reopened."""
    replica_set.wait_until_whole()
    uris = {"main": replica_set.uri}
    with replica_set.client() as client, Streams(tmp_path, emulated, uris, sources=1) as streams:
        client.drop_database("shop")
        streams.wait_until_active()
        orders = streams.orders(client, "main")
        with _writing(orders) as goes_on:
            eventually(lambda: written(orders) > 200, "some writes")
            elect(replica_set)
            after = written(orders)
            eventually(lambda: written(orders) > after + 200, "writes after the election")
            goes_on.set()
        emulated.wait(distinct_event_ids=written(orders), timeout_ms=60_000)
        streams.wait_until_active()
        (now,) = streams.statistics()
        assert streams.stop().exit_code == 0
        streams.assert_delivered("main", orders)
    assert now.retry_count == 0
    if interrupts:
        assert now.total_errors >= 1
        assert now.last_error
        states = [state for _, state in now.transitions[:4]]
        assert states == ["starting", "streaming", "backing_off", "streaming"]


def test_ten_sources_on_two_connections(
    tmp_path: Path, emulated: PubSubFake, replica_set: ReplicaSet, own_mongod: Mongod
) -> None:
    """Elections on the one, an outage of the other, and Pub/Sub away for a while."""
    replica_set.wait_until_whole()
    uris = {"three": replica_set.uri, "one": own_mongod.uri}
    with (
        replica_set.client() as three,
        own_mongod.client() as one,
        Streams(tmp_path, emulated, uris, sources=5) as streams,
    ):
        three.drop_database("shop")
        streams.wait_until_active()
        first, second = streams.orders(three, "three"), streams.orders(one, "one")
        for orders in second.values():
            orders.write(100)
        with _writing(first) as over:
            replica_set.step_down()
            own_mongod.kill()
            eventually(lambda: not any(s.active for s in streams.statistics("one")), "an outage")
            # The one that is down holds nothing up.
            before = sum(s.processed_changes for s in streams.statistics("three"))
            eventually(
                lambda: sum(s.processed_changes for s in streams.statistics("three")) > before,
                "changes of the other connection",
            )
            own_mongod.start()
            emulated.down()
            eventually(
                lambda: all(s.state == "backing_off" for s in streams.statistics("three")),
                "Pub/Sub missed",
            )
            emulated.up()
            replica_set.kill_primary().start()
            over.set()
        for orders in second.values():
            orders.write(100)
        emulated.wait(distinct_event_ids=written(first, second), timeout_ms=90_000)
        streams.wait_until_active()
        statistics = streams.statistics()
        assert streams.stop().exit_code == 0
        streams.assert_delivered("three", first)
        streams.assert_delivered("one", second)
    for now in statistics:
        states = [state for _, state in now.transitions]
        assert states[:3] == ["starting", "streaming", "backing_off"]
        assert states[-1] == "streaming"
        assert now.total_errors >= 1
        assert now.last_error_time is not None
        assert now.processed_changes == now.read - now.in_flight
    assert len(statistics) == 10


def test_the_headroom_of_the_oplog_and_the_lag(line: Line, emulated: PubSubFake) -> None:
    uris = {"main": line.mongod.uri}
    with Streams(line.folder, emulated, uris, sources=1) as streams:
        streams.wait_until_active()
        (stream,) = eventually(
            lambda: [
                now
                for now in streams.statistics()
                if now.oplog_headroom is not None and now.lag is not None
            ],
            "headroom and lag",
        )
        assert stream.oplog_headroom is not None
        assert stream.oplog_headroom >= 0
        # The server's clock counts seconds, and an idle reply is at most one and a half old.
        eventually(lambda: (streams.statistics()[0].lag or 99.0) < 3, "a small lag when idle")
        assert streams.statistics()[0].position_age is not None
        assert STREAM not in streams.runner.statistics()


class _Writing:
    """Writes to all collections in a thread; a write that fails is made again."""

    def __init__(self, orders: Mapping[str, Orders]) -> None:
        self._orders = orders
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._failed: list[BaseException] = []

    def _write(self) -> None:
        try:
            while not self._over.wait(0.005):
                for orders in self._orders.values():
                    orders.write_through_elections(5)
        except PyMongoError as error:
            self._failed.append(error)

    def __enter__(self) -> threading.Event:
        self._thread.start()
        return self._over

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert not self._failed, self._failed


def _writing(orders: Mapping[str, Orders]) -> _Writing:
    return _Writing(orders)
