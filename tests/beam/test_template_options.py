"""The template's parameters are the pipeline's options, each under the same name."""

from __future__ import annotations

import json
from pathlib import Path

from mongo_gcp_stream.beam.options import MongoDBToPubSubOptions

METADATA = Path(__file__).resolve().parents[2] / "docker" / "metadata.json"


def test_the_parameters_are_the_options_of_the_pipeline() -> None:
    offered = {parameter["name"] for parameter in json.loads(METADATA.read_text())["parameters"]}
    assert offered == set(MongoDBToPubSubOptions([]).get_all_options(current_only=True))
