"""Each wrong input ends in its own clear error with its hint, and prints no secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream.cli.exit_codes import ExitCode
from mongo_gcp_stream.testing import Mongod

from tests.support.line import STREAM
from tests.support.mongod import failing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.line import Line
    from tests.support.runner import Process

PASSWORD = "s3cretPassword"  # noqa: S105 - of a server that lives for a test


@pytest.fixture(scope="module")
def locked() -> Iterator[Mongod]:
    """A mongod that wants a user; `limited` may read another database only."""
    with Mongod(password=PASSWORD) as server, server.client() as client:
        role = {"role": "read", "db": "elsewhere"}
        client.admin.command("createUser", "limited", pwd=PASSWORD, roles=[role])
        yield server


def assert_refused(process: Process, hint: str, *secrets: str) -> None:
    """Assert that a run failed with one error of its stream and a hint that says this."""
    assert process.wait() == ExitCode.FAILED, process.stderr
    (error,) = (text for text in process.stderr.splitlines() if text.startswith("error: "))
    assert error.startswith(f"error: {STREAM}: "), process.stderr
    assert hint in process.stderr.partition("hint: ")[2], process.stderr
    assert "Traceback" not in process.stderr
    for secret in (PASSWORD, *secrets):
        assert secret not in process.stderr + process.stdout


def test_a_standalone_server(line: Line) -> None:
    with Mongod(replica_set=None) as standalone:
        line.configure(uri=standalone.uri)
        assert_refused(line.catch_up(), "--replSet")


def test_a_wrong_password(line: Line, locked: Mongod) -> None:
    line.configure(uri=locked.uri.replace(PASSWORD, f"{PASSWORD}x"))
    assert_refused(line.catch_up(), "password")


def test_a_missing_privilege(line: Line, locked: Mongod) -> None:
    line.configure(uri=locked.uri.replace("root:", "limited:"))
    assert_refused(line.catch_up(), "changeStream")


def test_an_unreachable_host(line: Line) -> None:
    # Nothing listens on the discard port of loopback.
    uri = f"mongodb://root:{PASSWORD}@127.0.0.1:9/"
    line.configure(uri=uri, monitoring={"connection_timeout": 500})
    assert_refused(line.catch_up(), "network access")


def test_a_topic_that_does_not_exist(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(5)
    line.configure(pubsub={"topics": {"default": {"name": "no-such-topic"}}})
    assert_refused(line.catch_up(), "Create the topic")
    line.configure()
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_a_lost_history(line: Line) -> None:
    line.prepare()
    # The server answers so to the stored position, and opens without it.
    with failing(line.mongod, ["aggregate"], times=1, errorCode=286):
        assert_refused(line.catch_up(), "oplog")


def _garbled(stored: dict[str, Any]) -> None:
    data = stored["position"]["token"]["_data"]
    stored["position"]["token"]["_data"] = data[:20] + "FFFF" + data[24:]


def _of_the_future(stored: dict[str, Any]) -> None:
    stored["format_version"] = 99


def _of_another_replica_set(stored: dict[str, Any]) -> None:
    stored["replica_set"] = "rs9"


def _without_position(stored: dict[str, Any]) -> None:
    del stored["position"]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (_garbled, "token"),
        (_of_the_future, "backup"),
        (_without_position, "backup"),
        (_of_another_replica_set, "position set"),
    ],
)
def test_a_changed_checkpoint(
    line: Line, change: Callable[[dict[str, Any]], None], hint: str
) -> None:
    line.prepare()
    # A position after an event: that of an idle stream has another layout.
    line.orders().write(1)
    assert line.catch_up().wait() == 0
    stored = json.loads(line.checkpoint.read_text())
    change(stored)
    changed = json.dumps(stored)
    line.checkpoint.write_text(changed)
    assert_refused(line.catch_up(), hint)
    # Never a silent fresh start.
    assert line.checkpoint.read_text() == changed


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}"])
def test_a_corrupt_checkpoint(line: Line, content: bytes) -> None:
    line.prepare()
    line.checkpoint.write_bytes(content)
    process = line.catch_up()
    assert_refused(process, "backup")
    assert str(line.checkpoint) in process.stderr
    assert line.checkpoint.read_bytes() == content


def test_the_checkpoint_of_another_source(line: Line) -> None:
    line.prepare()
    line.configure(source={"collection": "customers"})
    process = line.catch_up()
    assert_refused(process, "position set")
    assert f"{line.database}.orders" in process.stderr
    assert f"{line.database}.customers" in process.stderr


def test_a_changed_lane_count(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(50)
    line.configure(pubsub={"lanes": 8})
    process = line.catch_up()
    assert process.wait() == ExitCode.FAILED
    assert "--accept-lane-change" in process.stderr
    assert line.catch_up("--accept-lane-change").wait() == 0
    # The new count is stored: no flag from now on.
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_a_second_run_on_the_same_position(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    with line.run() as first:
        orders.write(1)
        line.pubsub.wait(messages=1)
        second = line.catch_up()
        assert_refused(second, "stop the other one first")
        assert first.running


@pytest.mark.parametrize(
    ("sections", "path", "says"),
    [
        ({"pubsub": {"orderin": "lanes"}}, "pubsub.orderin", "ordering"),
        ({"flow": {"events_in_flight": "many"}}, "flow.events_in_flight", ""),
        ({"checkpoint": {"interval": "1 fortnight"}}, "checkpoint.interval", "250ms"),
    ],
)
def test_a_wrong_key(line: Line, sections: dict[str, Any], path: str, says: str) -> None:
    line.configure(uri=f"mongodb://root:{PASSWORD}@127.0.0.1:9/", **sections)
    process = line.catch_up()
    assert process.wait() == ExitCode.USAGE
    (error,) = (text for text in process.stderr.splitlines() if text.startswith("error: "))
    assert path in error
    assert says in error
    assert "hint: " in process.stderr
    assert PASSWORD not in process.stderr
    assert not line.checkpoint.exists()
