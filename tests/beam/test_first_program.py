"""The first pipeline that anybody writes, as a program, its runner on the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.support.beam_runner import prism_program
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.line import Line

PROGRAM = """
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub

with beam.Pipeline(options=PipelineOptions(streaming=True)) as p:
    (p
     | ReadFromMongoDBChangeStream({read})
     | ValidateAndEnrich(
         schemas={{"main.orders": {{"orderNo": {{"type": "number", "required": True}}}}}})
     | WriteToPubSub("{topic}"))
"""


@contextmanager
def program(line: Line, read: str) -> Iterator[subprocess.Popen[str]]:
    """The program, beside the configuration; killed at the end together with its Prism."""
    (line.folder / "program.py").write_text(PROGRAM.format(read=read, topic=line.topic))
    runner = ["--runner=PrismRunner", f"--prism_location={prism_program()}"]
    process = subprocess.Popen(
        [sys.executable, "program.py", *runner],
        cwd=line.folder,
        env={**os.environ, **line.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # It may have ended by itself, its Prism with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("given", ["arguments", "config"])
def test_it_runs_as_it_stands(line: Line, given: str) -> None:
    read = f'uri="{line.mongod.uri}", database="{line.database}", collection="orders"'
    if given == "config":
        read = 'config="config.yaml", source="main.orders"'
    with program(line, read) as process:
        number = iter(range(100_000))

        def arrived() -> bool:
            # It opens at the latest, whenever that is.
            assert process.poll() is None, process.communicate()[0]
            line.collection.insert_one({"orderNo": next(number)})
            return line.delivered() > 0

        eventually(arrived, "an order is published")
    (key,) = {message.ordering_key.split("/")[0] for message in line.pubsub.messages()}
    assert key == "main.orders"
