"""Many streams in this process, on one or more connections, with their statistics at hand."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import Runner

from tests.support.order import assert_delivered
from tests.support.orders import Orders
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from mongo_gcp_stream import RunReport, StreamStatistics
    from pymongo import MongoClient
    from typing_extensions import Self

    from tests.support.pubsub_fake import PubSubFake

PROJECT = "test"


class Streams:
    """A runner in a thread; each source has a collection and a topic named after its stream.

    Args:
        folder: Where configuration and positions are.
        pubsub: Where all streams publish; `PUBSUB_EMULATOR_HOST` must say so.
        uris: Connection string of each connection, by its id.
        sources: Number of sources of each connection.
        sections: Further top-level sections.
    """

    def __init__(
        self,
        folder: Path,
        pubsub: PubSubFake,
        uris: Mapping[str, str],
        *,
        sources: int,
        **sections: Any,
    ) -> None:
        self.pubsub = pubsub
        names = [f"s{number}" for number in range(sources)]
        self.streams = [(connection, name) for connection in uris for name in names]
        for connection, name in self.streams:
            pubsub.create_topic(f"projects/{PROJECT}/topics/{_topic(connection, name)}")
        config = {
            "mongodb": {
                "connections": {
                    connection: {
                        "uri": uri,
                        "database": "shop",
                        "sources": {
                            name: {"collection": name, "topic": f"{connection}-{name}"}
                            for name in names
                        },
                    }
                    for connection, uri in uris.items()
                }
            },
            "gcp": {"project_id": PROJECT},
            "pubsub": {
                "topics": {
                    f"{connection}-{name}": {"name": _topic(connection, name)}
                    for connection, name in self.streams
                }
            },
            "checkpoint": {"store": "file", "path": str(folder / "state")},
            "logging": {"level": "error"},
            **sections,
        }
        path = folder / "config.yaml"
        # JSON is YAML.
        path.write_text(json.dumps(config))
        self.runner = Runner(str(path))
        self.reports: list[RunReport] = []
        self._thread = threading.Thread(target=lambda: self.reports.append(self.runner.run()))

    def statistics(self, connection: str | None = None) -> list[StreamStatistics]:
        """Return the statistics of all streams, or those of one connection."""
        all_streams = self.runner.statistics().values()
        return [now for now in all_streams if connection in {None, now.connection_id}]

    def wait_until_active(self, connection: str | None = None) -> None:
        """Wait until all streams are open, or those of one connection."""
        eventually(lambda: all(now.active for now in self.statistics(connection)), "all streaming")

    def orders(self, client: MongoClient[dict[str, Any]], connection: str) -> dict[str, Orders]:
        """Return a writer for each source of a connection."""
        sources = [name for owner, name in self.streams if owner == connection]
        return {name: Orders(client.shop[name]) for name in sources}

    def assert_delivered(self, connection: str, orders: Mapping[str, Orders]) -> None:
        """Assert that every write of these collections has come to its topic, in order."""
        messages = self.pubsub.messages()
        for name, written in orders.items():
            topic = f"projects/{PROJECT}/topics/{_topic(connection, name)}"
            of_topic = [message for message in messages if message.topic == topic]
            assert_delivered(of_topic, written.revisions)

    def stop(self) -> RunReport:
        """Drain and return how the run ended."""
        self.runner.stop()
        self._thread.join()
        (report,) = self.reports
        return report

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.runner.stop()
        self._thread.join()


def written(*writers: Mapping[str, Orders]) -> int:
    """Count the writes of all of these."""
    return sum(orders.written for by_name in writers for orders in by_name.values())


def _topic(connection: str, source: str) -> str:
    return f"{connection}-{source}-changes"
