"""`examples/beam.yaml` as it stands, by Beam's own program for pipelines in YAML."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mongo_gcp_stream.beam
import yaml

from tests.support.beam_runner import prism_program
from tests.support.line import PROJECT
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.line import Line

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = files("mongo_gcp_stream.beam") / "providers.yaml"


def transforms() -> dict[str, str]:
    (provider,) = yaml.safe_load(PROVIDERS.read_text())
    named: dict[str, str] = provider["transforms"]
    return named


def test_the_providers_are_the_transforms_of_the_package() -> None:
    for name, path in transforms().items():
        module, _, kind = path.rpartition(".")
        assert module == mongo_gcp_stream.beam.__name__
        assert hasattr(mongo_gcp_stream.beam, kind), name


def test_the_example_is_made_of_them() -> None:
    text = (ROOT / "examples" / "beam.yaml").read_text()
    assert [name for name in transforms() if f"- type: {name}\n" in text] == [*transforms()]


def test_the_example_runs(line: Line) -> None:
    variables = {
        "uri": line.mongod.uri,
        "database": line.database,
        "project": PROJECT,
        "topic": line.database,
    }
    command = [sys.executable, "-m", "apache_beam.yaml.main", "--runner=PrismRunner"]
    command += ["--streaming", f"--prism_location={prism_program()}"]
    command += [
        "--yaml_pipeline_file=examples/beam.yaml",
        f"--jinja_variables={json.dumps(variables)}",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **line.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def arrived() -> Any:
        assert process.poll() is None, "the pipeline ended"
        line.collection.insert_one({"orderNo": 7})
        return line.delivered()

    try:
        eventually(arrived, "an order that was inserted once the stream was open")
    finally:
        # It may have ended by itself, its Prism with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    message = json.loads(line.pubsub.messages()[0].data)
    assert message["fullDocument"]["orderNo"] == 7
