"""Protected values are in no message, no dead letter and no log, in whatever form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.canaries import Canaries
from tests.support.line import PROJECT, STREAM

if TYPE_CHECKING:
    from tests.support.line import Line

ENVELOPES = (
    "change_event",
    "document",
    "cloudevents",
    "cloudevents_structured",
    "original",
    "debezium",
    "bigquery_cdc",
)
ACTIONS = ("remove", "mask", "hash", "truncate", "tokenise")
#: One for each place in a document; ends in letters that a mask of four would show.
SECRETS = {action: f"canary-{action}-7f3a9c41d2" for action in ACTIONS}
KEY = "canary-id-5b8e03aa91"


OPTIONS = {"mask": {"keep": 0}, "truncate": {"length": 3}}


def protect() -> list[dict[str, Any]]:
    """A rule for each action, each at the top, in a document, and in an array of them."""
    paths = ("{0}", "deep.{0}", "items[*].{0}")
    rules = [
        {"path": path.format(action), "action": action, **OPTIONS.get(action, {})}
        for action in ACTIONS
        for path in paths
    ]
    return [*rules, {"path": "_id", "action": "tokenise"}]


def secrets() -> dict[str, Any]:
    return {**SECRETS, "deep": dict(SECRETS), "items": [dict(SECRETS), {"plain": 1, **SECRETS}]}


def configure(line: Line) -> list[str]:
    """Every envelope has a topic; what breaks a rule becomes a dead letter."""
    names = {envelope: f"{line.database}-{envelope}" for envelope in ENVELOPES}
    topics: dict[str, Any] = {
        envelope: {"name": name, "envelope": envelope} for envelope, name in names.items()
    }
    topics["bigquery_cdc"]["bigquery"] = {"dataset": "shop", "table": "orders"}
    topics["dead"] = {"name": f"{line.database}-dead"}
    line.configure(
        source={
            "topic": list(ENVELOPES),
            "protect": protect(),
            "enrich": {"metadata": True, "copy": {"who": "documentKey._id"}},
            "full_document_before_change": "when_available",
        },
        protection={"key": "a key of more than sixteen bytes"},
        pubsub={
            "topics": topics,
            "extra_attributes": {"told": "{field:deep.mask}", "kind": "{field:hash}"},
        },
        schemas={STREAM: {"revision": {"type": "number"}}},
        dead_letter={"topic": "dead", "file": {"path": str(line.folder / "dead.jsonl")}},
        logging={"level": "debug", "format": "json"},
    )
    full = [f"projects/{PROJECT}/topics/{topic['name']}" for topic in topics.values()]
    for topic in full:
        line.pubsub.create_topic(topic)
    return full


def test_nothing_protected_goes_out(own_line: Line) -> None:
    line = own_line
    topics = configure(line)
    line.collection.database.command(
        "create", line.collection.name, changeStreamPreAndPostImages={"enabled": True}
    )
    line.prepare()
    document = {"_id": KEY, "revision": 1, "plain": "to be seen", **secrets()}
    line.collection.insert_one(document)
    changes = {f"items.0.{action}": SECRETS[action] + "!" for action in ACTIONS}
    line.collection.update_one({"_id": KEY}, {"$set": {"deep": dict(SECRETS), **changes}})
    line.collection.update_one({"_id": KEY}, {"$unset": dict.fromkeys(ACTIONS, "")})
    line.collection.insert_one({"_id": KEY + "-2", "revision": "no number", **secrets()})
    line.collection.replace_one({"_id": KEY}, {"revision": 2, **secrets()})
    line.collection.delete_one({"_id": KEY})
    process = line.catch_up()
    assert process.wait() == 0, process.stderr

    canaries = Canaries(_id=KEY, **SECRETS)
    sent = line.pubsub.messages()
    letters = (line.folder / "dead.jsonl").read_bytes()
    assert {message.topic for message in sent} == set(topics)
    assert letters.count(b"\n") == 1
    assert b"to be seen" in b"".join(message.data for message in sent)
    for message in sent:
        told = repr((dict(message.attributes), message.ordering_key)).encode()
        assert not canaries.sung(message.data + told), message.topic
    assert not canaries.sung(letters)
    assert not canaries.sung(process.stderr.encode() + process.stdout.encode())
