"""A pipeline as a program of its own, which a test may kill: read, validate, write, on Prism."""

from __future__ import annotations

import json
import sys
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub
from mongo_gcp_stream.beam.prism import prism_location


def main() -> None:
    """Run until it is killed. The argument: JSON of what the transforms are given."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    options = PipelineOptions(
        ["--runner=PrismRunner", f"--prism_location={prism_location()}", "--streaming"]
    )
    with beam.Pipeline(options=options) as pipeline:
        (
            pipeline
            | ReadFromMongoDBChangeStream(**given["read"])
            | ValidateAndEnrich(schemas=given["schemas"])
            | WriteToPubSub(given["topic"])
        )


if __name__ == "__main__":
    main()
