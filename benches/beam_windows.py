"""How soon a window fires behind the watermark, on a stream that is idle most of the time.

A process of its own on Prism: writes one order every few seconds, and counts those of each second.
After its event a window can only be closed by the watermark of idle replies. Writes to standard
output, as JSON, the milliseconds from the moment when the watermark passed the end of a window to
the moment when the window fired.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows
from backlog import COLLECTION, DATABASE
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream
from mongo_gcp_stream.beam.prism import prism_location
from mongo_gcp_stream.beam.restriction import MonotoneEstimator
from pymongo import MongoClient

if TYPE_CHECKING:
    from apache_beam.transforms.window import IntervalWindow
    from apache_beam.utils.timestamp import Timestamp

_PAUSE_SECONDS = 2.5

passed: list[tuple[float, float]] = []
"""Watermarks, seconds since the epoch, and when they were set."""

fired: list[tuple[float, float]] = []
"""Ends of windows, seconds since the epoch, and when these fired."""


def note(_: object, window: IntervalWindow = beam.DoFn.WindowParam) -> None:
    """Notes when a window fires."""
    fired.append((float(window.end), time.monotonic()))


def watch_watermark() -> None:
    """Note each step of the watermark: the worker of the pipeline is this process."""
    set_watermark = MonotoneEstimator.set_watermark

    def set_and_note(estimator: MonotoneEstimator, timestamp: Timestamp) -> None:
        set_watermark(estimator, timestamp)
        passed.append((float(estimator.current_watermark()), time.monotonic()))

    setattr(MonotoneEstimator, "set_watermark", set_and_note)  # noqa: B010 -- a method may not be assigned to


def write(uri: str, enough: threading.Event) -> None:
    """Insert an order every few seconds."""
    with MongoClient[dict[str, object]](uri) as client:
        while not enough.wait(_PAUSE_SECONDS):
            client[DATABASE][COLLECTION].insert_one({"status": "new"})


def late_ms() -> list[float]:
    """How long after its watermark each window fired."""
    return [
        (at - min(when for watermark, when in passed if watermark >= end)) * 1000
        for end, at in fired
    ]


def main() -> None:
    """Runs until so many windows have fired."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("windows", type=int)
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.CRITICAL)
    watch_watermark()
    options = PipelineOptions(
        ["--runner=PrismRunner", f"--prism_location={prism_location()}", "--streaming"]
    )
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | ReadFromMongoDBChangeStream(arguments.uri, DATABASE, COLLECTION)
        | beam.WithKeys("all")
        | beam.WindowInto(FixedWindows(1))
        | beam.GroupByKey()
        | beam.Map(note)
    )
    pipeline.run()
    enough = threading.Event()
    writer = threading.Thread(target=write, args=(arguments.uri, enough))
    writer.start()
    while len(fired) < arguments.windows:
        time.sleep(0.1)
    enough.set()
    writer.join()
    sys.stdout.write(json.dumps({"late_ms": late_ms()}) + "\n")
    sys.stdout.flush()
    # The Prism that was started goes with this process's session.
    os._exit(0)


if __name__ == "__main__":
    # What is defined in `__main__` travels to the worker by value, and would note in copies.
    from beam_windows import main as run

    run()
