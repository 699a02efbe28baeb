"""`mongo-gcp-stream emulator`: the embedded Pub/Sub as a program of its own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from mongo_gcp_stream.cli.exit_codes import ExitCode
from mongo_gcp_stream.errors import MongoGcpStreamError

if TYPE_CHECKING:
    from mongo_gcp_stream.testing import Emulator

_EXIT_CODES = """\b
Exit codes:
    0  ended by Ctrl-C or SIGTERM
    2  bad usage, or the port is taken
"""


@click.command(epilog=_EXIT_CODES)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8085,
    show_default=True,
    help="Port on 127.0.0.1; 0 picks a free one.",
)
@click.option(
    "--project",
    default="demo",
    show_default=True,
    help="Project of the topics named here: `gcp.project_id` of who uses them.",
)
@click.option(
    "--topic", "topics", multiple=True, metavar="NAME", help="Topic to create. Repeatable."
)
@click.option(
    "--subscription",
    "subscriptions",
    multiple=True,
    metavar="NAME[:TOPIC]",
    help="Ordered subscription to create; with one --topic it is to that. Repeatable.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=256_000_000,
    show_default=True,
    help="What messages may take in memory; then Publish answers RESOURCE_EXHAUSTED.",
)
def emulator(
    port: int, project: str, topics: tuple[str, ...], subscriptions: tuple[str, ...], max_bytes: int
) -> ExitCode:
    """Serve an embedded Pub/Sub on this machine until Ctrl-C.

    \b
    In one terminal:
      mongo-gcp-stream emulator --topic shop-changes --subscription all
    In another, what it prints, before the program that is to use it:
      export PUBSUB_EMULATOR_HOST=127.0.0.1:8085

    Google's client libraries and `mongo-gcp-stream run` obey PUBSUB_EMULATOR_HOST. Everything is
    kept in memory and is gone at the end; a topic without a subscription keeps nothing, as with
    the service.
    """
    attached = [_attach(subscription, topics) for subscription in subscriptions]
    stops = {signal.SIGINT, signal.SIGTERM}
    # Blocked before any thread exists, so that all inherit it and `sigwait` gets the signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        with _start(port, max_bytes) as server:
            _create(server, project, topics, attached)
            click.echo(f"export PUBSUB_EMULATOR_HOST={server.address}")
            click.echo("Pub/Sub is up; Ctrl-C ends it.", err=True)
            signal.sigwait(stops)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ExitCode.CLEAN


def _attach(subscription: str, topics: tuple[str, ...]) -> tuple[str, str]:
    name, _, topic = subscription.partition(":")
    if not topic and len(topics) != 1:
        raise click.UsageError(
            f"--subscription {name}: say to which topic, as {name}:TOPIC; without one there must "
            "be exactly one --topic"
        )
    return name, topic or topics[0]


def _start(port: int, max_bytes: int) -> Emulator:
    # What it brings with it is needed by this command alone.
    from mongo_gcp_stream.testing import Emulator

    try:
        return Emulator(port, max_bytes=max_bytes)
    except OSError as error:
        raise MongoGcpStreamError(
            f"port {port} cannot be opened: {error}",
            hint="Choose another one with --port, or 0 for a free one.",
        ) from error


def _create(
    server: Emulator, project: str, topics: tuple[str, ...], attached: list[tuple[str, str]]
) -> None:
    try:
        for topic in topics:
            server.create_topic(f"projects/{project}/topics/{topic}")
        for name, topic in attached:
            server.create_subscription(
                f"projects/{project}/subscriptions/{name}", f"projects/{project}/topics/{topic}"
            )
    except (ValueError, RuntimeError) as error:
        raise click.UsageError(str(error)) from error
