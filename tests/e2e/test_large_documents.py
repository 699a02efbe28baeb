"""Documents of 11 and 15.9 MB through every policy, against a service that takes 10 MB."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import Runner
from mongo_gcp_stream.claim_check import restore

from tests.support.dead_letters import DeadLetters
from tests.support.gcs_fake import GcsFake
from tests.support.line import STREAM
from tests.support.order import assert_delivered
from tests.support.pages import blocks
from tests.support.runner import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.line import Line

#: Bytes of the large documents by their `_id`; their neighbours have the numbers around these.
LARGE = {1_000_010: 11_000_000, 1_000_020: 15_900_000}
#: What the guide's examples leave out.
REST = """
gcp: {project_id: some-project}
pubsub: {topics: {default: {name: shop-changes}}}
checkpoint: {store: memory}
"""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "large-documents.md"


@pytest.fixture(scope="module")
def storage() -> Iterator[GcsFake]:
    """A Cloud Storage with the bucket `large`."""
    with GcsFake("large") as fake:
        yield fake


def write(line: Line) -> dict[int, int]:
    """Write large documents with neighbours; returns the revision of each."""
    revisions = {}
    for large, size in LARGE.items():
        for number in range(large - 3, large + 4):
            text = "lorem ipsum " * (size // 12) if number == large else "small"
            line.collection.insert_one({"_id": number, "revision": 1, "title": "t", "text": text})
            revisions[number] = 1
        line.collection.update_one({"_id": large + 1}, {"$set": {"revision": 2}})
        revisions[large + 1] = 2
    return revisions


def events(line: Line, *, restored: bool = False) -> dict[int, list[dict[str, Any]]]:
    """The delivered events of each document, in order."""
    found: dict[int, list[dict[str, Any]]] = {}
    for message in line.pubsub.messages():
        data = message.data
        if message.attributes.get("content_encoding") == "gzip":
            data = gzip.decompress(data)
        event = json.loads(restore(data) if restored else data)
        event["attributes"] = message.attributes
        found.setdefault(event["documentKey"]["_id"], []).append(event)
    return found


def assert_whole(found: dict[int, list[dict[str, Any]]], revisions: dict[int, int]) -> None:
    assert found.keys() == revisions.keys()
    for number, revision in revisions.items():
        seen = [event["fullDocument"]["revision"] for event in found[number]]
        assert seen[-1] == revision
        assert seen == sorted(seen)
    for large, size in LARGE.items():
        (event,) = found[large]
        assert event["fullDocument"]["text"] == "lorem ipsum " * (size // 12)


def test_compressed(line: Line) -> None:
    line.configure(source={"oversize": {"policy": "compress"}})
    line.prepare()
    revisions = write(line)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    found = events(line)
    assert_whole(found, revisions)
    for number, seen in found.items():
        assert ("content_encoding" in seen[0]["attributes"]) == (number in LARGE)
    assert line.pubsub.stats()["refused"] == 0


def test_cut(line: Line) -> None:
    keys = {"policy": "truncate_fields", "truncate_to": "100B", "keep_fields": ["title"]}
    line.configure(source={"oversize": keys})
    line.prepare()
    write(line)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    for number, seen in events(line).items():
        document, told = seen[0]["fullDocument"], seen[0]["attributes"].get("truncated_fields")
        if number in LARGE:
            assert (len(document["text"]), told) == (100, "fullDocument.text")
        else:
            assert (document["text"], told) == ("small", None)
        assert (document["_id"], document["title"]) == (number, "t")


def test_dead_lettered_by_reference(line: Line) -> None:
    letters = DeadLetters(line)
    letters.configure(file=True, source={"oversize": {"policy": "dead_letter"}})
    line.prepare()
    revisions = write(line)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    neighbours = {number: last for number, last in revisions.items() if number not in LARGE}
    assert_delivered(letters.delivered(), neighbours)
    kept = letters.in_file()
    assert [letter["reason"].partition(":")[0] for letter in kept] == ["oversize", "oversize"]
    assert all(letter["event_omitted"] > 10_000_000 for letter in kept)
    assert line.pubsub.stats()["refused"] == 0
    # The position is past them.
    assert line.catch_up().wait() == 0
    assert letters.in_file() == kept


def test_an_event_that_mongodb_cannot_return_leaves_a_record(own_line: Line) -> None:
    line = own_line
    letters = DeadLetters(line)
    images = {"full_document_before_change": "when_available", "on_event_too_large": "skip"}
    letters.configure(file=True, source=images)
    database = line.collection.database
    database.command("create", line.collection.name, changeStreamPreAndPostImages={"enabled": True})
    line.prepare()
    line.collection.insert_one({"_id": 1, "revision": 1, "text": "x" * 11_000_000})
    # With the image before it and the one after it the event has more than 16 MiB.
    line.collection.update_one({"_id": 1}, {"$set": {"revision": 2}})
    line.collection.insert_one({"_id": 2, "revision": 1})
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    assert {message.attributes["operation"] for message in letters.delivered()} == {"insert"}
    # The document itself is over Pub/Sub's limit too.
    kept = {letter["operation"]: letter for letter in letters.in_file()}
    assert kept.keys() == {"insert", "update"}
    assert "16 MiB" in kept["update"]["reason"]
    assert kept["update"]["event"]["documentKey"] == {"_id": 1}
    # MongoDB still cannot return it, with either policy: it is left, and nothing goes out.
    before = len(line.pubsub.messages())
    for policy in ("skip", "fail"):
        images["on_event_too_large"] = policy
        letters.configure(file=True, source=images)
        config = str(line.config)
        arguments = ("dead-letter", "redrive", "--config", config, "--json")
        with Process(*arguments, env=line.env) as redrive:
            assert redrive.wait() == 1, redrive.stderr
        rows = {row["operation"]: row for row in map(json.loads, redrive.stdout.splitlines())}
        assert {row["outcome"] for row in rows.values()} == {"left"}
        assert "16 MiB" in rows["update"]["why"]
    assert len(line.pubsub.messages()) == before
    assert {letter["attempt"] for letter in letters.in_file()} == {3}


def test_kept_in_a_folder(line: Line) -> None:
    url = f"file://{line.folder}/large documents"
    line.configure(source={"oversize": {"policy": "claim_check", "claim_check": {"url": url}}})
    line.prepare()
    revisions = write(line)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    assert_whole(events(line, restored=True), revisions)
    files = list((line.folder / "large documents" / STREAM).iterdir())
    assert sorted(file.suffix for file in files) == [".json", ".json"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_kept_in_cloud_storage(
    line: Line, storage: GcsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    url = f"gs://large/{line.database}"
    line.configure(source={"oversize": {"policy": "claim_check", "claim_check": {"url": url}}})
    line.prepare()
    revisions = write(line)
    position = line.checkpoint.read_bytes()
    for _ in range(2):
        # The second time everything is sent again: the same objects hold the same data.
        line.checkpoint.write_bytes(position)
        process = line.catch_up()
        assert process.wait() == 0, process.stderr
        stored = [name for name in storage.objects() if name.startswith(f"{line.database}/")]
        assert len(stored) == len(LARGE)
    found = events(line, restored=True)
    assert found.keys() == revisions.keys()
    for number, seen in found.items():
        uris = {event["attributes"].get("claim_check") for event in seen}
        assert (uris == {None}) == (number not in LARGE)
        texts = {event["fullDocument"]["text"] for event in seen}
        expected = "lorem ipsum " * (LARGE[number] // 12) if number in LARGE else "small"
        assert texts == {expected}


def test_an_outage_of_cloud_storage_holds_up_one_lane(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GcsFake("large") as storage:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        oversize = {"policy": "claim_check", "claim_check": {"url": "gs://large"}}
        line.configure(source={"oversize": oversize}, error_handling={"max_backoff": "250ms"})
        line.prepare()
        storage.stop()
        revisions = write(line)
        with line.run() as process:
            process.wait_for_line("publishing failed, trying again.*Cloud Storage")
            # What is not in the lane of a large document has come meanwhile.
            line.pubsub.wait(messages=5)
            assert not any("claim_check" in m.attributes for m in line.pubsub.messages())
            storage.start()
            line.pubsub.wait(distinct_event_ids=len(revisions) + 2)
            assert_whole(events(line, restored=True), revisions)


def test_a_missing_bucket_stops_the_stream(
    line: Line, storage: GcsFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    oversize = {"policy": "claim_check", "claim_check": {"url": "gs://no-such-bucket"}}
    line.configure(source={"oversize": oversize})
    line.prepare()
    write(line)
    process = line.catch_up()
    assert process.wait() == 1
    assert "does the bucket exist?" in process.stderr
    assert "oversize.claim_check.url" in process.stderr.partition("hint: ")[2]


def test_without_a_policy_the_stream_stops_before_it(line: Line) -> None:
    line.prepare()
    write(line)
    process = line.catch_up()
    assert process.wait() == 1
    assert "oversize.policy" in process.stderr.partition("hint: ")[2]
    first = min(LARGE)
    assert_delivered(line.pubsub.messages(), dict.fromkeys(range(first - 3, first), 1))


def test_the_examples_of_the_guide_load(line: Line) -> None:
    examples = blocks(PAGE.read_text(), "yaml")
    assert len(examples) == 4
    for example in examples:
        line.config.write_text(example.replace("${MONGODB_URI}", line.mongod.uri) + REST)
        assert not Runner(str(line.config)).warnings
