"""Positions in every store: kept across crashes, moved by one process, set and cleared."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.gcs_fake import GcsFake
from tests.support.line import STREAM
from tests.support.stores import BUCKET, PREFIX, position, set_to, settings, shown
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.line import Line

EVERY = ("file", "mongodb", "gcs")
REMOTE = ("mongodb", "gcs")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(scope="module")
def gcs() -> Iterator[GcsFake]:
    """A Cloud Storage shared by the tests of this file."""
    with GcsFake(BUCKET) as fake:
        yield fake


@pytest.fixture
def store(request: pytest.FixtureRequest, line: Line, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store that `line` is configured with: a parameter of the test."""
    store = str(request.param)
    if store == "gcs":
        fake: GcsFake = request.getfixturevalue("gcs")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake.url)
        # Of an earlier test.
        assert position_cleared(line, store)
    line.configure(checkpoint=settings(line, store))
    return store


def position_cleared(line: Line, store: str) -> bool:
    line.configure(checkpoint=settings(line, store))
    return position(line, "clear", "--stream", STREAM, "--yes").returncode == 0


@pytest.mark.parametrize("store", REMOTE, indirect=True)
def test_killed_again_and_again(line: Line, store: str) -> None:
    line.prepare()
    orders = line.orders()
    for number in range(1, 5):
        orders.write(200)
        with line.run() as process:
            line.pubsub.wait(messages=line.delivered() + number * 37)
            process.kill()
    assert line.catch_up().wait() == 0, store
    line.assert_delivered(orders)
    assert shown(line)["epoch"] == 6


@pytest.mark.parametrize("store", EVERY, indirect=True)
def test_show(line: Line, store: str) -> None:
    assert shown(line)["epoch"] is None
    assert not (line.folder / "state").exists(), "looking changes nothing"
    line.prepare()
    orders = line.orders()
    orders.insert(20)
    with line.run():
        line.wait_until_delivered(orders)
        eventually(lambda: _is_at(line, 20), "the position is stored")
        stored = shown(line)
    assert stored["stream"] == STREAM
    assert stored["scope"] == f"collection {line.database}.orders"
    assert (stored["epoch"], stored["replica_set"]) == (2, "rs0"), store
    assert RFC_3339.fullmatch(stored["time"])
    assert RFC_3339.fullmatch(stored["stored_at"])
    token = shown(line, "--show-token")["token"]
    table = position(line, "show")
    assert [text.split()[0] for text in table.stdout.splitlines()] == ["STREAM", STREAM]
    assert stored["time"] in table.stdout
    for told in (table.stdout, json.dumps(stored)):
        assert token not in told
    assert token in position(line, "show", "--show-token").stdout


def _is_at(line: Line, sequence: int) -> bool:
    found: int | None = shown(line)["sequence"]
    return found == sequence


@pytest.mark.parametrize("store", EVERY, indirect=True)
def test_set(line: Line, store: str) -> None:
    line.prepare()
    orders = line.orders()
    orders.insert(20)
    assert line.catch_up().wait() == 0
    token = shown(line, "--show-token")["token"]
    orders.insert(10)
    assert line.catch_up().wait() == 0
    assert line.delivered() == 30, store

    set_to(line, f"token:{token}")
    assert line.catch_up().wait() == 0
    assert line.delivered() == 40
    set_to(line, "earliest")
    assert line.catch_up().wait() == 0
    assert line.delivered() == 70
    set_to(line, shown(line)["time"])
    epoch = shown(line)["epoch"]
    skipped = line.orders()
    line.collection.delete_many({})
    set_to(line, "latest")
    assert shown(line)["epoch"] == epoch + 1
    before = line.delivered()
    skipped.insert(5)
    assert line.catch_up().wait() == 0
    assert line.delivered() == before + 5


@pytest.mark.parametrize("store", REMOTE, indirect=True)
@pytest.mark.parametrize("command", [("set", "--to", "latest"), ("clear", "--yes")])
def test_set_or_cleared_while_running(line: Line, store: str, command: tuple[str, ...]) -> None:
    """The running one must not move the position back to where it is."""
    line.prepare()
    orders = line.orders()
    with line.run() as process:
        orders.insert(10)
        line.wait_until_delivered(orders)
        eventually(lambda: _is_at(line, 10), "the position is stored")
        name, *arguments = command
        done = position(line, name, "--stream", STREAM, *arguments)
        assert done.returncode == 0, done.stderr
        stored = shown(line)
        orders.insert(10)
        assert process.wait() == ExitCode.FAILED, store
    assert "position set" in process.stderr
    assert shown(line) == stored


@pytest.mark.parametrize("store", ["file"], indirect=True)
@pytest.mark.parametrize("command", [("set", "--to", "latest"), ("clear", "--yes")])
def test_a_locked_file_is_left_alone(line: Line, store: str, command: tuple[str, ...]) -> None:
    orders = line.orders()
    with line.run():
        eventually(line.checkpoint.exists, "the opening position stored")
        name, *arguments = command
        refused = position(line, name, "--stream", STREAM, *arguments)
        assert refused.returncode == ExitCode.FAILED, store
        assert "another process" in refused.stderr
        assert "stop the other one first" in refused.stderr
        orders.insert(10)
        line.wait_until_delivered(orders)


@pytest.mark.parametrize("store", REMOTE, indirect=True)
def test_of_two_runs_the_newer_one_goes_on(line: Line, store: str) -> None:
    line.prepare()
    orders = line.orders()
    with ExitStack() as running:
        older = running.enter_context(line.run())
        orders.insert(100)
        line.wait_until_delivered(orders)
        newer = running.enter_context(line.run())
        eventually(lambda: shown(line)["epoch"] == 3, "the newer one has taken over")
        orders.insert(100)
        assert older.wait() == ExitCode.FAILED, store
        assert "another process" in older.stderr
        orders.insert(100)
        line.wait_until_delivered(orders)
        # The newer one's own count, which began where the older one's position was.
        eventually(lambda: shown(line)["sequence"] >= 200, "the newer one moves it")
        assert newer.running
    line.assert_delivered(orders)


@pytest.mark.parametrize("store", EVERY, indirect=True)
def test_clear(line: Line, store: str) -> None:
    line.prepare()
    asked = position(line, "clear", "--stream", STREAM)
    assert asked.returncode == ExitCode.KILLED
    assert f"Forget the position of {STREAM}?" in asked.stderr
    assert shown(line)["epoch"] == 1, store
    for says in ("has no position any more", "had no position"):
        done = position(line, "clear", "--stream", STREAM, "--yes")
        assert (done.returncode, done.stdout) == (0, f"{STREAM} {says}\n")
    assert shown(line)["epoch"] is None
    line.orders().insert(5)
    # `startup: latest`.
    assert line.catch_up().wait() == 0
    assert line.delivered() == 0


@pytest.mark.parametrize("store", EVERY, indirect=True)
def test_a_changed_set_up_is_refused_until_the_position_is_set(line: Line, store: str) -> None:
    line.prepare()
    line.configure(pubsub={"ordering": "none"}, checkpoint=settings(line, store))
    refused = line.catch_up()
    assert refused.wait() == ExitCode.FAILED
    assert "mongo-gcp-stream position set" in refused.stderr
    set_to(line, "latest")
    orders = line.orders()
    orders.insert(5)
    assert line.catch_up().wait() == 0
    assert line.delivered() == 5


@pytest.mark.parametrize("store", ["gcs"], indirect=True)
def test_a_damaged_object_is_no_fresh_start(line: Line, store: str, gcs: GcsFake) -> None:
    line.prepare()
    name = f"{PREFIX}{STREAM}.json"
    assert gcs.objects()[name]["stream"] == STREAM
    gcs.put(name, b'{"format_version": 1, "stream": ')
    refused = line.catch_up()
    assert refused.wait() == ExitCode.FAILED, store
    assert f"gs://{BUCKET}/{name}: not a valid JSON object" in refused.stderr
    assert "position clear" in refused.stderr
    assert position(line, "clear", "--stream", STREAM, "--yes").returncode == 0
    line.prepare()


def test_a_stream_of_the_deployment_does_not_feed_itself(line: Line) -> None:
    """Counted on the server: each store is an entry of the oplog."""
    source = {"scope": "deployment", "database": None, "collection": None}
    line.configure(source=source, checkpoint=settings(line, "mongodb") | {"interval": "10ms"})
    oplog = line.client.local["oplog.rs"]
    stores = {"ns": f"{line.database}_positions.checkpoints"}
    line.prepare()
    orders = line.orders()
    with line.run():
        orders.insert(10)
        line.wait_until_delivered(orders)
        eventually(lambda: _is_at(line, 10), "the position is stored")
        # What moves an idle stream: the server's own no-op writes, one a second.
        noops = {"op": "n", "ns": ""}
        stored, idle = oplog.count_documents(stores), oplog.count_documents(noops)

        def is_fed() -> bool:
            # More than the one store that was under way.
            return oplog.count_documents(stores) > stored + 1

        # A server that is written to has nothing to do for its no-op writer.
        idled = eventually(
            lambda: "fed" if is_fed() else oplog.count_documents(noops) >= idle + 3,
            "three no-op writes, or a store",
        )
        assert idled is True
        assert not is_fed()
    line.assert_delivered(orders)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("show", "--stream", "main.nothing"), f"there is `{STREAM}`"),
        (("set", "--stream", STREAM, "--to", "yesterday"), "RFC 3339"),
        (("set", "--stream", STREAM, "--to", "2100-01-01T00:00:00Z"), "future"),
        (("set", "--stream", STREAM, "--to", "token:xyz"), "hex digits"),
        (("set", "--stream", STREAM), "--to"),
    ],
)
def test_wrong_usage(line: Line, command: tuple[str, ...], says: str) -> None:
    refused = position(line, *command)
    assert refused.returncode == ExitCode.USAGE
    assert says in refused.stderr
    assert "hint: " in refused.stderr


def test_positions_that_cannot_be_used_are_not_stored(line: Line) -> None:
    line.prepare()
    before = shown(line)
    with line.collection.watch() as stream:
        line.orders().insert(1)
        token = next(stream)["_id"]["_data"]
    aged = f"82{1_000_000_000:08x}{token[10:]}"
    for start in ("token:8266", f"token:{aged}"):
        refused = position(line, "set", "--stream", STREAM, "--to", start)
        assert refused.returncode == ExitCode.FAILED
        assert "hint: " in refused.stderr
    assert shown(line) == before


def test_a_store_that_does_not_last(line: Line) -> None:
    line.configure(checkpoint={"store": "memory"})
    refused = position(line, "show")
    assert refused.returncode == ExitCode.USAGE
    assert "checkpoint.store" in refused.stderr
