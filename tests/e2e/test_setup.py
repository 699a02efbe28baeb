"""`setup`: topics and subscriptions are made once, and a second time there is nothing to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud import pubsub_v1
from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.line import PROJECT
from tests.support.runner import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.line import Line

TOPIC = "made-by-setup"
WORKER = {"ack_deadline": "60s", "retention": "1h", "dead_letter_topic": "undeliverable"}


@pytest.fixture
def subscriber(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[pubsub_v1.SubscriberClient]:
    """Google's own client."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", line.pubsub.grpc_address)
    with pubsub_v1.SubscriberClient() as client:
        yield client


def configure(line: Line, subscriptions: Mapping[str, Mapping[str, Any]]) -> None:
    topic = {"name": TOPIC, "subscriptions": subscriptions}
    line.configure(pubsub={"topics": {"default": topic}})


def setup(line: Line, *arguments: str) -> Process:
    with Process("setup", "--config", str(line.config), *arguments, env=line.env) as process:
        process.wait()
        assert "Traceback" not in process.stderr
        return process


def steps(process: Process) -> list[tuple[str, str]]:
    """Return what became of each resource."""
    pattern = r"^(\w+) +((?:topic|subscription) [\w-]+)"
    return [(found[1], found[2]) for found in re.finditer(pattern, process.stdout, re.MULTILINE)]


def existing(subscriber: pubsub_v1.SubscriberClient, name: str) -> pubsub_v1.types.Subscription:
    return subscriber.get_subscription(
        subscription=f"projects/{PROJECT}/subscriptions/{name}", timeout=30
    )


def test_a_second_time_there_is_nothing_to_do(
    line: Line, subscriber: pubsub_v1.SubscriberClient
) -> None:
    configure(line, {"worker": WORKER, "audit": {"ordering": False}})
    first = setup(line)
    assert first.wait() == ExitCode.CLEAN, first.stdout + first.stderr
    assert steps(first) == [
        ("created", f"topic {TOPIC}"),
        ("created", "topic undeliverable"),
        ("created", "subscription audit"),
        ("created", "subscription worker"),
        ("note", "subscription worker"),
    ]
    assert "gcp-sa-pubsub.iam.gserviceaccount.com" in first.stdout
    worker = existing(subscriber, "worker")
    assert worker.enable_message_ordering
    assert worker.ack_deadline_seconds == 60
    assert worker.message_retention_duration.total_seconds() == 3600
    assert worker.dead_letter_policy.dead_letter_topic.endswith("/topics/undeliverable")
    assert not existing(subscriber, "audit").enable_message_ordering
    second = setup(line)
    assert second.wait() == ExitCode.CLEAN
    assert {action for action, _ in steps(second)} == {"unchanged"}
    assert second.stdout.endswith("nothing to do\n")


def test_what_may_be_changed_is_changed(line: Line, subscriber: pubsub_v1.SubscriberClient) -> None:
    configure(line, {"worker": {"ack_deadline": "20s", "retention": "2h"}})
    assert setup(line).wait() == ExitCode.CLEAN
    configure(line, {"worker": {"ack_deadline": "60s"}})
    changed = setup(line)
    assert changed.wait() == ExitCode.CLEAN, changed.stdout
    assert ("updated", "subscription worker") in steps(changed)
    worker = existing(subscriber, "worker")
    assert worker.ack_deadline_seconds == 60
    # Not mentioned any more: left alone.
    assert worker.message_retention_duration.total_seconds() == 7200
    assert ("unchanged", "subscription worker") in steps(setup(line))


def test_what_is_fixed_is_told_with_the_commands(
    line: Line, subscriber: pubsub_v1.SubscriberClient
) -> None:
    configure(line, {"worker": {"ordering": False}})
    assert setup(line).wait() == ExitCode.CLEAN
    configure(line, {"worker": {}})
    refused = setup(line)
    assert refused.wait() == ExitCode.FAILED
    assert ("conflict", "subscription worker") in steps(refused)
    assert f"subscriptions delete worker --project={PROJECT} && gcloud" in refused.stdout
    assert "--enable-message-ordering" in refused.stdout
    assert not existing(subscriber, "worker").enable_message_ordering


def test_a_dry_run_prints_the_commands_and_does_nothing(line: Line) -> None:
    configure(line, {"worker": WORKER})
    line.pubsub.down()
    planned = setup(line, "--dry-run")
    assert planned.wait() == ExitCode.CLEAN, planned.stderr
    commands = [text for text in planned.stdout.splitlines() if not text.startswith("#")]
    create = f"gcloud pubsub topics create {TOPIC} --project={PROJECT}"
    assert commands[0] == create
    assert commands[2] == (
        f"gcloud pubsub subscriptions create worker --project={PROJECT} --topic={TOPIC} "
        "--enable-message-ordering --ack-deadline=60 --message-retention-duration=3600s "
        "--dead-letter-topic=undeliverable"
    )
    line.pubsub.up()
    assert ("created", f"topic {TOPIC}") in steps(setup(line))


def test_an_outage_is_waited_out_only_so_long(line: Line) -> None:
    configure(line, {"worker": {}})
    line.pubsub.down()
    failed = setup(line, "--timeout", "1s")
    assert failed.wait() == ExitCode.FAILED
    assert steps(failed) == [("failed", f"topic {TOPIC}"), ("failed", "subscription worker")]


def test_a_wrong_subscription(line: Line) -> None:
    configure(line, {"worker": {"ack_deadline": "5s"}})
    refused = setup(line)
    assert refused.wait() == ExitCode.USAGE
    assert "pubsub.topics.default.subscriptions.worker.ack_deadline" in refused.stderr
