"""What the embedded Pub/Sub offers to tests: faults, counters, a bound, fixtures, a command."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from mongo_gcp_stream.testing import Emulator

from tests.support.runner import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "projects/demo/topics/orders"
SUBSCRIPTION = "projects/demo/subscriptions/orders"


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    # Room for two small messages of 512 bytes and a little each.
    with Emulator(max_bytes=1_500) as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        emulator.create_topic(TOPIC)
        emulator.create_subscription(SUBSCRIPTION, TOPIC)
        yield emulator


@pytest.fixture
def publisher(emulator: Emulator) -> pubsub_v1.PublisherClient:
    del emulator  # its address is in the environment
    return pubsub_v1.PublisherClient()


def publish(publisher: pubsub_v1.PublisherClient, data: bytes = b"1", key: str = "") -> None:
    """Publish one message in one attempt: by the method below the client's batching."""
    message = {"data": data, "ordering_key": key}
    generated = super(pubsub_v1.publisher.Client, publisher)
    generated.publish(  # type: ignore[attr-defined]
        topic=TOPIC, messages=[message], retry=None, timeout=30
    )


def test_a_status_strikes_the_kth_request_of_a_key(
    emulator: Emulator, publisher: pubsub_v1.PublisherClient
) -> None:
    emulator.fault("status", ordering_key="a", nth=2, code="ABORTED")
    publish(publisher, key="a")
    publish(publisher, key="b")
    with pytest.raises(exceptions.Aborted, match="a fault that was asked for"):
        publish(publisher, key="a")
    counted = emulator.statistics()
    assert (counted.attempts, counted.requests, counted.faults) == (3, 2, 1)


def test_a_lost_response_was_committed(
    emulator: Emulator, publisher: pubsub_v1.PublisherClient
) -> None:
    emulator.fault("lose_response", topic=TOPIC)
    with pytest.raises(exceptions.ServiceUnavailable):
        publish(publisher)
    assert [data for data, *_ in emulator.pull(SUBSCRIPTION)] == [b"1"]


def test_a_delay_lasts_until_the_faults_are_cleared(
    emulator: Emulator, publisher: pubsub_v1.PublisherClient
) -> None:
    emulator.fault("delay", delay_ms=3_600_000, times=-1)
    future = publisher.publish(TOPIC, b"1")
    assert emulator.wait(faults=1).requests == 0
    emulator.clear_faults()
    assert future.result(timeout=30)
    assert emulator.wait(messages=1).requests == 1


def test_the_service_s_own_retry_gets_past_a_fault(
    emulator: Emulator, publisher: pubsub_v1.PublisherClient
) -> None:
    emulator.fault("status", times=2)
    assert publisher.publish(TOPIC, b"1").result(timeout=30)
    counted = emulator.statistics()
    assert (counted.attempts, counted.faults, counted.messages) == (3, 2, 1)


def test_what_is_kept_is_bounded(emulator: Emulator, publisher: pubsub_v1.PublisherClient) -> None:
    publish(publisher)
    publish(publisher)
    with pytest.raises(exceptions.ResourceExhausted, match="raise max_bytes"):
        publish(publisher)
    assert emulator.statistics().refused == 1
    assert len(emulator.pull(SUBSCRIPTION)) == 2
    assert emulator.statistics().kept_bytes == 0
    publish(publisher)


def test_a_wait_that_is_not_reached_says_how_far_it_came(emulator: Emulator) -> None:
    with pytest.raises(TimeoutError, match=r"within 1 ms: .*messages=0"):
        emulator.wait(messages=1, timeout_ms=1)


def test_mistakes_in_a_fault_are_told(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="lose_response"):
        emulator.fault("explode")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="SORRY"):
        emulator.fault("status", code="SORRY")


def test_statistics_are_values(emulator: Emulator) -> None:
    before = emulator.statistics()
    assert before == emulator.statistics()
    assert repr(before).startswith("EmulatorStatistics(attempts=0, ")
    emulator.create_topic("projects/demo/topics/other")
    assert before == emulator.statistics()


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, str]]:
    """The Python of the guide: name of the file where it is one, and text."""
    guide = (ROOT / "docs" / "guide" / "testing.md").read_text()
    return re.findall(r"```python\n(?:# (\S+\.py)\n)?(.*?)```", guide, re.DOTALL)


def test_the_guides_suite_passes(tmp_path: Path, examples: list[tuple[str, str]]) -> None:
    files = {name: text for name, text in examples if name}
    assert set(files) == {"conftest.py", "test_orders.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_the_guides_other_examples_run(examples: list[tuple[str, str]]) -> None:
    programs = [text for name, text in examples if not name]
    assert len(programs) == 3
    for text in programs:
        subprocess.run([sys.executable, "-c", text], timeout=100, check=True)


def started(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start the command and return it with the address that it prints."""
    command = [str(PROGRAM), "emulator", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"export PUBSUB_EMULATOR_HOST=(127\.0\.0\.1:\d+)\n", line)
    if found is None:
        process.kill()
        pytest.fail(f"it printed {line!r}, and {process.communicate()}")
    return process, found[1]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(
    stop: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, address = started(
        "--project", "shop", "--topic", "orders", "--topic", "users",
        "--subscription", "all:orders", "--subscription", "people:users",
    )  # fmt: skip
    try:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        with pubsub_v1.SubscriberClient() as subscriber:
            listed = list(subscriber.list_subscriptions(project="projects/shop"))
        assert {(each.name, each.topic, each.enable_message_ordering) for each in listed} == {
            ("projects/shop/subscriptions/all", "projects/shop/topics/orders", True),
            ("projects/shop/subscriptions/people", "projects/shop/topics/users", True),
        }
    finally:
        process.send_signal(stop)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "Pub/Sub is up; Ctrl-C ends it.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--subscription", "all"), "all:TOPIC"),
        (("--topic", "one", "--topic", "two", "--subscription", "all"), "all:TOPIC"),
        (("--topic", "x"), "is no id"),
        (("--subscription", "all:missing"), "does not exist"),
        (("--port", "65536"), "65536"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...], says: str) -> None:
    ran = subprocess.run(
        [PROGRAM, "emulator", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_taken_port_is_an_error_with_a_hint(emulator: Emulator) -> None:
    port = emulator.address.rpartition(":")[2]
    ran = subprocess.run(
        [PROGRAM, "emulator", "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert f"port {port} cannot be opened" in ran.stderr
    assert "--port" in ran.stderr
