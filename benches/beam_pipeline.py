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
import threading
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from backlog import COLLECTION, DATABASE
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub
from mongo_gcp_stream.beam.prism import prism_location
from scene import TOPIC_PATH

if TYPE_CHECKING:
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


def main() -> None:
    """Runs until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "stock"))
    parser.add_argument("uri")
    parser.add_argument("token", help="start after this resume token")
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.CRITICAL)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    options = PipelineOptions(
        ["--runner=PrismRunner", f"--prism_location={prism_location()}", "--streaming"]
    )
    pipeline = beam.Pipeline(options=options)
    build(pipeline, arguments.way, arguments.uri, arguments.token)
    result = pipeline.run()
    over.wait()
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime}) + "\n")
    sys.stdout.flush()
    with contextlib.suppress(RuntimeError):
        result.cancel()
        result.wait_until_finish()
    # Beam's own threads complain while the runner goes away.
    os._exit(0)


if __name__ == "__main__":
    main()
