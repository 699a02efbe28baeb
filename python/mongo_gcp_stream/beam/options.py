"""The options of our pipeline: those of the Dataflow template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apache_beam.options.pipeline_options import PipelineOptions

if TYPE_CHECKING:
    from argparse import ArgumentParser


class MongoDBToPubSubOptions(PipelineOptions):
    """What `mongo-gcp-stream beam` and the template take beside Beam's own options."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--config_file", help="The configuration: a path, or gs://BUCKET/OBJECT.")
        add(
            "--mongodb_uri",
            help="Connection string, or secret://projects/P/secrets/S/versions/V, over that of the "
            "configuration.",
        )
        add("--database", help="Database of the collection.")
        add("--collection", help="Collection whose changes are read.")
        add("--output_topic", help="Topic, as projects/PROJECT/topics/TOPIC.")
        add("--dead_letter_topic", help="Topic for dead letters, as projects/PROJECT/topics/TOPIC.")
        add(
            "--checkpoint",
            help="Where the position is kept from one pipeline to the next: gs://BUCKET/PREFIX, or "
            "a folder.",
        )
        add(
            "--resume",
            choices=["RESUME_OR_NEW", "RESUME_OR_FAIL", "FAIL_IF_EXISTS"],
            help="What to make of a position that is kept there or, without --checkpoint, where "
            "`checkpoint` of the configuration says.",
        )
        add("--end_at", help="Read up to this moment (RFC 3339), and end.")
        add("--schemas", help="A YAML or JSON file of rules by stream: a path, or gs://...")
