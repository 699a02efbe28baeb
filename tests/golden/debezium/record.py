"""Records what Debezium Server sends for the changes of ``changes.py``: see README.md."""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongo_gcp_stream.testing import Emulator, Mongod

from tests.golden.debezium.changes import all_changes, simple_changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymongo import MongoClient
    from typing_extensions import Self

    from tests.golden.debezium.changes import Change

TOPIC = "projects/golden/topics/golden.shop.orders"
SUBSCRIPTION = "projects/golden/subscriptions/all"

SETTINGS = """
debezium.sink.type=pubsub
debezium.sink.pubsub.project.id=golden
debezium.sink.pubsub.address={pubsub}
debezium.source.connector.class=io.debezium.connector.mongodb.MongoDbConnector
debezium.source.mongodb.connection.string={mongodb}
debezium.source.topic.prefix=golden
debezium.source.capture.mode={mode}
debezium.source.snapshot.mode=no_data
debezium.source.collection.include.list=shop.orders
debezium.source.offset.storage.file.filename={folder}/offsets.dat
debezium.source.offset.flush.interval.ms=0
debezium.format.key=json
debezium.format.value=json
debezium.format.key.schemas.enable=false
debezium.format.value.schemas.enable=false
quarkus.http.host=127.0.0.1
quarkus.http.port=0
quarkus.log.console.json=false
"""


class Server:
    """A Debezium Server with its offsets in a folder."""

    def __init__(self, home: Path, folder: Path, **settings: str) -> None:
        self.home, self.folder = home, folder
        (folder / "config").mkdir()
        text = SETTINGS.format(folder=folder, **settings)
        (folder / "config" / "application.properties").write_text(text)

    def __enter__(self) -> Self:
        classpath = [*map(str, self.home.glob("*-runner.jar")), f"{self.home}/lib/*"]
        java = os.environ.get("JAVA_HOME", "")
        command = [f"{java}/bin/java" if java else "java", "-Xmx512m", "-XX:+UseSerialGC"]
        command += ["-cp", ":".join(classpath), "io.debezium.server.Main"]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


class Recorder:
    """Makes changes, and reads them from both sides."""

    def __init__(self, client: MongoClient[Any], pubsub: Emulator, mode: str) -> None:
        self.pubsub, self.mode = pubsub, mode
        raw: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
        options: dict[str, Any] = {}
        if "update_full" in mode:
            options["full_document"] = "updateLookup"
        if "pre_image" in mode:
            options["full_document_before_change"] = "whenAvailable"
        collection = client["shop"].get_collection("orders", codec_options=raw)
        self.events = collection.watch(**options)
        self.cases: list[dict[str, Any]] = []

    def await_server(self, client: MongoClient[Any]) -> None:
        """Write until the server sends something, and forget all of it."""
        for number in range(300):
            client["shop"]["orders"].insert_one({"_id": f"{self.mode} {number}"})
            if self.pubsub.pull(SUBSCRIPTION, wait_ms=500):
                break
        else:
            raise SystemExit("the server sends nothing")
        while self.pubsub.pull(SUBSCRIPTION, wait_ms=2000):
            pass
        while self.events.try_next() is not None:
            pass

    def record(self, changes: Iterable[Change]) -> None:
        """Make each change once the messages of the one before are there."""
        for name, count, change in changes:
            change()
            events = [self.events.next() for _ in range(count)]
            self.keep(name, events)

    def keep(self, name: str, events: list[Any]) -> None:
        """Pair the events with the messages, which must not be more or fewer."""
        deadline = time.monotonic() + 60
        messages: list[Any] = []
        while len(messages) < len(events) and time.monotonic() < deadline:
            messages += self.pubsub.pull(SUBSCRIPTION, wait_ms=500)
        messages += self.pubsub.pull(SUBSCRIPTION, wait_ms=150)
        if len(messages) != len(events):
            raise SystemExit(f"{name}: {len(events)} events, messages: {messages}")
        for event in events:
            data, attributes, ordering_key, _ = messages.pop(position(event, messages))
            case = {
                "name": name,
                "capture_mode": self.mode,
                "event": base64.b64encode(event.raw).decode(),
                "ordering_key": ordering_key,
                "attributes": attributes,
                "value": data.decode(),
            }
            self.cases.append(case)
        sys.stderr.write(f"{name}\n")


def position(event: Any, messages: list[Any]) -> int:
    """Where the message of an event is: keys are delivered in any order, each in its own."""
    if len(messages) == 1:
        return 0
    key = json.dumps({"id": json.dumps(event["documentKey"]["_id"])}, separators=(",", ":"))
    return [message[2] for message in messages].index(key)


def record_mode(home: Path, mode: str) -> list[dict[str, Any]]:
    """All changes for the default mode, one of each kind for another."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Mongod() as mongod,
        Emulator() as pubsub,
        mongod.client() as client,
    ):
        pubsub.create_topic(TOPIC)
        pubsub.create_subscription(SUBSCRIPTION, TOPIC)
        images = {"enabled": "pre_image" in mode}
        client["shop"].create_collection("orders", changeStreamPreAndPostImages=images)
        recorder = Recorder(client, pubsub, mode)
        settings = {"pubsub": pubsub.address, "mongodb": mongod.uri, "mode": mode}
        server = Server(home, Path(folder), **settings)
        try:
            with server:
                recorder.await_server(client)
                default = mode == "change_streams_update_full"
                recorder.record(all_changes(client) if default else simple_changes(client, mode))
            record_missed(recorder, client, server)
        except BaseException:
            sys.stderr.write((server.folder / "server.log").read_text()[-6000:])
            raise
        return recorder.cases


def record_missed(recorder: Recorder, client: MongoClient[Any], server: Server) -> None:
    """An update whose document is gone by the time that it is looked up."""
    orders = client["shop"]["orders"]
    orders.insert_one({"_id": "gone", "n": 1})
    orders.update_one({"_id": "gone"}, {"$set": {"n": 2}})
    orders.delete_one({"_id": "gone"})
    events = [recorder.events.next() for _ in range(3)]
    with server:
        recorder.keep("update of a document that is gone", events)


def main() -> None:
    """Record each capture mode, and write the file."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("home", type=Path, help="folder of the unpacked Debezium Server")
    home = arguments.parse_args().home.resolve()
    cases = []
    for mode in (
        "change_streams_update_full",
        "change_streams",
        "change_streams_update_full_with_pre_image",
    ):
        cases += record_mode(home, mode)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    Path(__file__).with_name("recorded.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
