"""The surroundings of one test: a collection, a topic, a configuration and a state folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.order import assert_delivered
from tests.support.orders import Orders
from tests.support.runner import Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mongo_gcp_stream.testing import Mongod
    from pymongo import MongoClient

    from tests.support.pubsub_fake import PubSubFake

PROJECT = "test"
STREAM = "main.orders"


class Line:
    """What `mongo-gcp-stream run` needs, from a database of the test's own to a topic."""

    def __init__(self, folder: Path, mongod: Mongod, pubsub: PubSubFake, database: str) -> None:
        self.folder = folder
        self.mongod = mongod
        self.pubsub = pubsub
        self.database = database
        self.client: MongoClient[dict[str, Any]] = mongod.client()
        self.collection = self.client[database].orders
        self.topic = f"projects/{PROJECT}/topics/{database}"
        pubsub.create_topic(self.topic)
        self.config = folder / "config.yaml"
        self.configure()

    @property
    def checkpoint(self) -> Path:
        """The file that the stream's position is in."""
        return self.folder / "state" / f"{STREAM}.json"

    @property
    def env(self) -> dict[str, str]:
        """Environment of the program."""
        return {"PUBSUB_EMULATOR_HOST": self.pubsub.grpc_address}

    def configure(
        self, *, uri: str = "", source: Mapping[str, Any] | None = None, **sections: Any
    ) -> None:
        """Write the configuration: the smallest one that works, and what is given.

        Args:
            uri: Connection string, that of the mongod by default.
            source: Keys of the source `orders`; `None` leaves one out.
            sections: Top-level sections; their keys go over the ones that are there.
        """
        keys = {"database": self.database, "collection": "orders", **(source or {})}
        orders = {key: value for key, value in keys.items() if value is not None}
        config: dict[str, dict[str, Any]] = {
            "mongodb": {
                "connections": {
                    "main": {"uri": uri or self.mongod.uri, "sources": {"orders": orders}}
                }
            },
            "gcp": {"project_id": PROJECT},
            "pubsub": {"topics": {"default": {"name": self.database}}},
            "checkpoint": {"store": "file", "path": str(self.folder / "state")},
        }
        for name, section in sections.items():
            config.setdefault(name, {}).update(section)
        # JSON is YAML.
        self.config.write_text(json.dumps(config, indent=2))

    def orders(self, *, size: int = 100) -> Orders:
        """Return a writer to the collection."""
        return Orders(self.collection, size=size)

    def run(self, *arguments: str) -> Process:
        """Start `mongo-gcp-stream run`."""
        return Process("run", "--config", str(self.config), *arguments, env=self.env)

    def catch_up(self, *arguments: str) -> Process:
        """Run until caught up and return the ended process."""
        with self.run("--until-caught-up", *arguments) as process:
            process.wait()
            return process

    def prepare(self) -> None:
        """Store the position of now: everything written from here on is to be delivered."""
        process = self.catch_up()
        assert process.wait() == 0, process.stderr

    def wait_until_delivered(self, orders: Orders) -> None:
        """Wait until each write has been delivered at least once."""
        self.pubsub.wait(distinct_event_ids=orders.written)

    def delivered(self) -> int:
        """Count the deliveries so far, repetitions included."""
        return self.pubsub.stats()["messages"]

    def assert_delivered(self, orders: Orders) -> None:
        """Assert that every write has come, in order for each document, and nothing else."""
        assert_delivered(self.pubsub.messages(), orders.revisions)

    def event_ids(self) -> list[str]:
        """Return the ids of all deliveries in the order of their commit."""
        return [message.attributes["event_id"] for message in self.pubsub.messages()]
