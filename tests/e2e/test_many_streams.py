"""Many streams in one process: each on its own, all within bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.testing import Mongod

from tests.support.many import Streams, written
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.pubsub_fake import PubSubFake

_MANY = 200


@pytest.fixture
def emulated(pubsub: PubSubFake, monkeypatch: pytest.MonkeyPatch) -> PubSubFake:
    """The fake, found by a runner of this process."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.grpc_address)
    return pubsub


def test_a_connection_that_is_down_from_the_start_comes_up_later(
    tmp_path: Path, emulated: PubSubFake, mongod: Mongod
) -> None:
    late = Mongod()
    uris = {"late": late.uri, "up": mongod.uri}
    quick = {"connection_timeout": "500ms"}
    try:
        with (
            mongod.client() as client,
            Streams(tmp_path, emulated, uris, sources=2, monitoring=quick) as streams,
        ):
            client.drop_database("shop")
            streams.wait_until_active("up")
            up = streams.orders(client, "up")
            for orders in up.values():
                orders.write(50)
            emulated.wait(distinct_event_ids=written(up))
            waiting = eventually(
                lambda: [now for now in streams.statistics("late") if now.total_errors >= 2],
                "attempts",
            )
            for now in waiting:
                assert now.state == "backing_off"
                assert now.retry_count == now.total_errors
                assert now.last_healthy is None
            late.start()
            streams.wait_until_active()
            with late.client() as client_of_late:
                late_orders = streams.orders(client_of_late, "late")
                for orders in late_orders.values():
                    orders.write(50)
                emulated.wait(distinct_event_ids=written(up, late_orders))
            statistics = streams.statistics("late")
            assert streams.stop().exit_code == 0
            streams.assert_delivered("up", up)
            streams.assert_delivered("late", late_orders)
    finally:
        late.close()
    assert all(now.retry_count == 0 and now.last_error for now in statistics)


def test_a_source_that_fails_leaves_the_others_alone(
    tmp_path: Path, emulated: PubSubFake, mongod: Mongod
) -> None:
    refused = Mongod().uri
    uris = {"nobody": refused, "up": mongod.uri}
    with (
        mongod.client() as client,
        Streams(
            tmp_path,
            emulated,
            uris,
            sources=1,
            monitoring={"connection_timeout": "300ms"},
            error_handling={"max_retries": 2},
        ) as streams,
    ):
        client.drop_database("shop")
        (failed,) = eventually(
            lambda: [now for now in streams.statistics("nobody") if now.state == "failed"],
            "a failure",
        )
        # The first attempt and two restarts, each counted once.
        assert failed.total_errors == 3
        streams.wait_until_active("up")
        orders = streams.orders(client, "up")
        orders["s0"].write(50)
        emulated.wait(distinct_event_ids=50)
        (up,) = streams.statistics("up")
        assert up.active
        assert up.total_errors == 0
        report = streams.stop()
    assert report.exit_code == 1
    assert [failure.stream for failure in report.failures] == ["nobody.s0"]
    streams.assert_delivered("up", orders)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_two_hundred_sources_are_bounded(
    tmp_path: Path, emulated: PubSubFake, own_mongod: Mongod
) -> None:
    """Threads, connections and memory of 200 sources on one mongod, against those of one."""
    with own_mongod.client() as client:
        memory, threads = [], []
        for count in (1, _MANY):
            folder = tmp_path / str(count)
            folder.mkdir()
            client.drop_database("shop")
            emulated.reset()
            uris = {"main": own_mongod.uri}
            before = _status("Threads"), _connections(own_mongod)
            with Streams(folder, emulated, uris, sources=count) as streams:
                streams.wait_until_active()
                orders = streams.orders(client, "main")
                for writer in orders.values():
                    writer.write(20_000 // count)
                emulated.wait(distinct_event_ids=written(orders), timeout_ms=120_000)
                threads.append(_status("Threads") - before[0])
                memory.append(_status("VmRSS"))
                # Besides: two to watch the server.
                assert _connections(own_mongod) - before[1] <= count + 4 + 2
                eventually(
                    lambda: all(
                        now.active and now.events_per_second == 0 and now.in_flight == 0
                        for now in streams.statistics()
                    ),
                    "all idle",
                )
                assert streams.stop().exit_code == 0
            streams.assert_delivered("main", orders)
    print(f"threads {threads}, memory in kB {memory}")  # noqa: T201
    assert threads[1] <= threads[0] + 16
    assert memory[1] <= 4 * memory[0]


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def _connections(mongod: Mongod) -> int:
    with mongod.client() as client:
        current: int = client.admin.command("serverStatus")["connections"]["current"]
        return current
