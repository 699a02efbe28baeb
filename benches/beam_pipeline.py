"""A Beam pipeline on Prism, as a process of its own: what `beam.py` measures.

Reads the orders after a token, and publishes them: in the core (`ours`), or by Beam's own sink
(`stock`). Ends at SIGTERM, and writes what it has used to standard output, as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from backlog import COLLECTION, DATABASE
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub
from mongo_gcp_stream.beam.prism import prism_location
from mongo_gcp_stream.beam.readers import READERS, Key, Reader
from scene import TOPIC_PATH

if TYPE_CHECKING:
    from apache_beam.utils.timestamp import Duration
    from mongo_gcp_stream import ChangeEvent

SCHEMAS = {
    "main.orders": {
        "number": {"type": "number", "required": True, "min": 0},
        "status": {"type": "string", "required": True},
    }
}


def payload(event: ChangeEvent) -> bytes:
    """What the stock sink publishes: the same JSON."""
    return event.json().encode()


def build(pipeline: beam.Pipeline, way: str, uri: str, token: str) -> None:
    """Adds the transforms of one way."""
    read = ReadFromMongoDBChangeStream(
        uri,
        DATABASE,
        COLLECTION,
        options={"startup": {"token": token}},
        output="batches" if way == "ours" else "events",
    )
    if way == "ours":
        pipeline | read | ValidateAndEnrich(schemas=SCHEMAS) | WriteToPubSub(TOPIC_PATH)
    else:
        pipeline | read | beam.Map(payload) | beam.io.WriteToPubSub(TOPIC_PATH)


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Account:
    """What was read and used, bundle by bundle."""

    read: int = 0
    warm: tuple[int, float] | None = None
    """Events and CPU seconds before the bundle after the first that read any."""

    def keep(self) -> None:
        """Take part in the reading of this process: its worker's readers are these."""
        delay, take = Reader.delay, READERS.take

        def after(reader: Reader, taken: int) -> Duration | None:
            self.read += taken
            return delay(reader, taken)

        def before(key: Key) -> Reader | None:
            if self.read and self.warm is None:
                self.warm = self.read, cpu_seconds()
            return take(key)

        setattr(Reader, "delay", after)  # noqa: B010 -- a method may not be assigned to
        setattr(READERS, "take", before)  # noqa: B010

    def cpu_us_per_event(self) -> float:
        """Of the events behind the first bundle; what starting takes, seconds, is in that one."""
        if self.warm is None:
            raise RuntimeError("one bundle has read all there is")
        events, seconds = self.warm
        return (cpu_seconds() - seconds) / (self.read - events) * 1e6


def main() -> None:
    """Runs until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "stock"))
    parser.add_argument("uri")
    parser.add_argument("token", help="start after this resume token")
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.CRITICAL)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    options = PipelineOptions(
        ["--runner=PrismRunner", f"--prism_location={prism_location()}", "--streaming"]
    )
    account = Account()
    account.keep()
    pipeline = beam.Pipeline(options=options)
    build(pipeline, arguments.way, arguments.uri, arguments.token)
    result = pipeline.run()
    # No lock of `threading`: a handler that takes what its own thread holds would wait for ever.
    while not told:
        time.sleep(0.05)
    sys.stdout.write(json.dumps({"cpu_us_per_event": account.cpu_us_per_event()}) + "\n")
    sys.stdout.flush()
    with contextlib.suppress(RuntimeError):
        result.cancel()
        result.wait_until_finish()
    # Beam's own threads complain while the runner goes away.
    os._exit(0)


if __name__ == "__main__":
    main()
