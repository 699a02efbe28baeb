"""The original's entry point: its options, over `mongo-gcp-stream run` and `beam`."""

from __future__ import annotations

import os

import click

from mongo_gcp_stream._runners import RUNNERS
from mongo_gcp_stream.cli import main as command
from mongo_gcp_stream.scripts.setup_pubsub import DEFAULT_CONFIG

#: What overrides `gcp.project_id` for the core's loader.
_PROJECT = "MONGO_GCP_STREAM__GCP__PROJECT_ID"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True})
@click.option("--config", default=DEFAULT_CONFIG, show_default=True, help="Configuration in YAML.")
@click.option("--project", metavar="ID", help="The Google Cloud project, over `gcp.project_id`.")
@click.option(
    "--runner",
    type=click.Choice(["DirectRunner", *RUNNERS]),
    default="DirectRunner",
    show_default=True,
    help="DirectRunner is one process on this machine, without Beam; the others are Beam's.",
)
@click.option("--streaming", is_flag=True, help="It always does; accepted for old command lines.")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
def run_pipeline(
    config: str, project: str | None, runner: str, streaming: bool, rest: tuple[str, ...]
) -> None:
    """Streams the changes of a configuration's sources to Pub/Sub until it is stopped.

    Further options are those of `mongo-gcp-stream run`, with a runner of Beam's those of
    `mongo-gcp-stream beam`.
    """
    del streaming
    if project:
        os.environ[_PROJECT] = project
    if runner == "DirectRunner":
        command(["run", "--config", config, *rest])
    of_beam = [f"--project={project}"] if project else []
    command(["beam", "--config", config, "--runner", runner, *of_beam, *rest])


if __name__ == "__main__":
    run_pipeline()
