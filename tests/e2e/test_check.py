"""`check` against what is broken: each thing is named, with its fix, and no secret is printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
from mongo_gcp_stream.cli.exit_codes import ExitCode
from mongo_gcp_stream.testing import Mongod

from tests.support.line import PROJECT
from tests.support.mongod import failing
from tests.support.permissions import PermissionsFake
from tests.support.runner import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.line import Line

PASSWORD = "s3cretPassword"  # noqa: S105 - of a server that lives for a test
#: Nothing listens on the discard port of loopback.
NOWHERE = f"mongodb://root:{PASSWORD}@127.0.0.1:9/"


class Found(NamedTuple):
    """One finding."""

    severity: str
    subject: str
    check: str
    what: str
    fix: str


@pytest.fixture(scope="module")
def locked() -> Iterator[Mongod]:
    """A mongod that wants a user; `limited` may read another database only."""
    with Mongod(password=PASSWORD) as server, server.client() as client:
        role = {"role": "read", "db": "elsewhere"}
        client.admin.command("createUser", "limited", pwd=PASSWORD, roles=[role])
        yield server


def run(line: Line, *arguments: str, pubsub: str = "") -> Process:
    env = {"PUBSUB_EMULATOR_HOST": pubsub or line.pubsub.grpc_address}
    with Process("check", "--config", str(line.config), *arguments, env=env) as process:
        process.wait()
        assert PASSWORD not in process.stdout + process.stderr
        assert "Traceback" not in process.stderr
        return process


def check(line: Line, *arguments: str, pubsub: str = "") -> list[Found]:
    """Run it; its exit code follows from what it found."""
    process = run(line, "--json", *arguments, pubsub=pubsub)
    found = [Found(**finding) for finding in json.loads(process.stdout)]
    failed = any(finding.severity == "error" for finding in found)
    assert process.wait() == (ExitCode.FAILED if failed else ExitCode.CLEAN), process.stderr
    return found


def error(found: list[Found]) -> Found:
    """Return the only error."""
    (only,) = (finding for finding in found if finding.severity == "error")
    assert only.fix, only
    return only


def of(found: list[Found], name: str) -> Found:
    (only,) = (finding for finding in found if finding.check == name)
    return only


def test_nothing_is_wrong(line: Line) -> None:
    line.pubsub.create_topic(line.topic, f"projects/{PROJECT}/subscriptions/{line.database}")
    line.prepare()
    found = check(line)
    assert not [finding for finding in found if finding.severity in {"error", "warning"}]
    assert "replica set rs0" in of(found, "topology").what
    assert "at its stored position" in of(found, "stream").what
    assert "reaches back" in of(found, "oplog").what
    assert "with ordering" in of(found, "subscriptions").what
    # No permissions in an emulator: that is no failure.
    assert of(found, "publish").severity == "note"
    assert "could not be checked" in of(found, "publish").what


def test_the_text_is_grouped(line: Line) -> None:
    process = run(line)
    assert process.wait() == ExitCode.CLEAN
    lines = process.stdout.splitlines()
    heads = [text for text in lines if text and not text.startswith(" ")]
    assert heads == ["connection main", f"topic {line.database}", "0 errors, 1 warnings, 0 skipped"]
    # Nobody subscribes.
    assert any("setup" in text for text in lines if text.lstrip().startswith("fix: "))


def test_a_standalone_server(line: Line) -> None:
    with Mongod(replica_set=None) as standalone:
        line.configure(uri=standalone.uri)
        found = check(line)
    assert error(found).check == "topology"
    assert "--replSet" in error(found).fix
    skipped = {finding.check for finding in found if finding.severity == "skipped"}
    assert {"stream", "oplog", "images"} <= skipped


def test_a_wrong_password(line: Line, locked: Mongod) -> None:
    line.configure(uri=locked.uri.replace(PASSWORD, f"{PASSWORD}x"))
    found = check(line)
    assert error(found).check == "connect"
    assert "password" in error(found).fix
    assert of(found, "stream").severity == "skipped"


def test_a_missing_privilege_and_the_role_that_gives_it(line: Line, locked: Mongod) -> None:
    line.configure(uri=locked.uri.replace("root:", "limited:"))
    missing = error(check(line))
    assert missing.check == "stream"
    privilege = f'{{resource: {{db: "{line.database}", collection: "orders"}}'
    assert privilege in missing.fix
    assert 'grantRolesToUser("limited", ' in missing.fix
    # What the fix says, in the words of the driver.
    with locked.client() as client:
        resource = {"db": line.database, "collection": "orders"}
        actions = ["find", "changeStream"]
        client.admin.command(
            "createRole",
            "mongoGcpStream",
            privileges=[{"resource": resource, "actions": actions}],
            roles=[],
        )
        client.admin.command("grantRolesToUser", "limited", roles=["mongoGcpStream"])
    found = check(line)
    assert of(found, "stream").severity == "ok"
    assert of(found, "privileges").severity == "ok"
    # This user may look neither at the oplog nor at the server's connections.
    assert {of(found, "oplog").severity, of(found, "connections").severity} == {"note"}


def test_more_privileges_than_needed(line: Line, locked: Mongod) -> None:
    line.configure(uri=locked.uri)
    found = check(line)
    assert of(found, "privileges").severity == "note"
    assert "createRole" in of(found, "privileges").fix
    assert of(found, "stream").severity == "ok"


def test_an_unreachable_host(line: Line) -> None:
    line.configure(uri=NOWHERE, monitoring={"connection_timeout": 500})
    found = check(line)
    assert error(found).check == "connect"
    assert "network access" in error(found).fix
    # The other part is looked at all the same.
    assert of(found, "topic").severity == "ok"


def test_a_timeout_bounds_it(line: Line) -> None:
    line.configure(uri=NOWHERE, monitoring={"connection_timeout": "1h"})
    found = check(line, "--timeout", "1s")
    assert error(found).check == "timeout"
    assert "--timeout" in error(found).fix


def test_a_missing_topic(line: Line) -> None:
    line.configure(pubsub={"topics": {"default": {"name": "no-such-topic"}}})
    found = check(line)
    assert error(found).subject == "topic no-such-topic"
    create = f"gcloud pubsub topics create no-such-topic --project={PROJECT}"
    assert error(found).fix.startswith(create)
    assert of(found, "publish").severity == "skipped"


def test_pubsub_that_does_not_answer(line: Line) -> None:
    line.configure(monitoring={"connection_timeout": 2000})
    line.pubsub.down()
    found = check(line)
    assert error(found).check == "topic"
    assert "UNAVAILABLE" in error(found).what
    assert "network access" in error(found).fix


@pytest.mark.parametrize(
    ("permissions", "topic", "publish"),
    [
        ([], "note", "error"),
        (["pubsub.topics.get"], "ok", "error"),
        # All that roles/pubsub.publisher has.
        (["pubsub.topics.publish"], "note", "ok"),
    ],
)
def test_the_permission_to_publish(
    line: Line, permissions: list[str], topic: str, publish: str
) -> None:
    with PermissionsFake(permissions) as fake:
        found = check(line, pubsub=fake.grpc_address)
    assert of(found, "topic").severity == topic
    assert of(found, "publish").severity == publish
    if publish == "error":
        assert "roles/pubsub.publisher" in error(found).fix


def test_a_short_outage_of_pubsub_is_waited_out(line: Line) -> None:
    with PermissionsFake(["pubsub.topics.get"], outages=3) as fake:
        assert of(check(line, pubsub=fake.grpc_address), "topic").severity == "ok"


def test_a_subscription_without_ordering_and_one_that_is_missing(line: Line) -> None:
    name = f"{line.database}-worker"
    line.pubsub.create_topic(line.topic, f"projects/{PROJECT}/subscriptions/{name}", ordered=False)
    subscriptions = {name: {}, "nobody-made-it": {"ack_deadline": 60}}
    topic = {"name": line.database, "subscriptions": subscriptions}
    line.configure(pubsub={"topics": {"default": topic}})
    found = check(line)
    assert "nobody-made-it does not exist" in error(found).what
    assert "--ack-deadline=60" in error(found).fix
    (warning,) = (finding for finding in found if finding.severity == "warning")
    assert warning.what.startswith(f"{name} has no message ordering")
    assert f"subscriptions delete {name}" in warning.fix
    assert "--enable-message-ordering" in warning.fix


@pytest.mark.parametrize(
    ("full_document", "severity"), [("required", "error"), ("when_available", "warning")]
)
def test_missing_images(line: Line, full_document: str, severity: str) -> None:
    line.collection.insert_one({})
    line.configure(source={"full_document": full_document})
    images = of(check(line), "images")
    assert images.severity == severity
    assert 'collMod: "orders", changeStreamPreAndPostImages: {enabled: true}' in images.fix
    database = line.client[line.database]
    database.command("collMod", "orders", changeStreamPreAndPostImages={"enabled": True})
    assert of(check(line), "images").severity == "ok"


def test_a_position_that_is_lost(line: Line) -> None:
    line.prepare()
    # The server answers so to the stored position, and opens without it.
    with failing(line.mongod, ["aggregate"], times=1, errorCode=286):
        lost = error(check(line))
    assert lost.check == "stream"
    assert "oplog" in lost.fix


def test_a_position_of_another_source(line: Line) -> None:
    line.prepare()
    line.configure(source={"collection": "customers"})
    foreign = error(check(line))
    assert foreign.check == "position"
    assert f"{line.database}.orders" in foreign.what


def test_a_run_goes_on_while_it_is_checked(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    with line.run() as running:
        orders.write(3)
        line.wait_until_delivered(orders)
        assert not [finding for finding in check(line) if finding.severity == "error"]
        orders.write(3)
        line.wait_until_delivered(orders)
        assert running.running
    line.assert_delivered(orders)


def test_a_bad_configuration(line: Line) -> None:
    line.configure(uri=NOWHERE, pubsub={"orderin": "lanes"})
    process = run(line)
    assert process.wait() == ExitCode.USAGE
    assert "pubsub.orderin" in process.stderr
    assert not process.stdout
