"""`mongo-gcp-stream check`: connects to everything and says what is missing."""

from __future__ import annotations

import itertools
import json
import signal
from typing import TYPE_CHECKING

import click

from mongo_gcp_stream import _core
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.cli.exit_codes import ExitCode, table

if TYPE_CHECKING:
    from mongo_gcp_stream._core import Finding

_COLORS = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red", "skipped": "white"}


@click.command(
    epilog=table(
        {
            ExitCode.CLEAN: "no error was found",
            ExitCode.FAILED: "an error was found",
            ExitCode.USAGE: "bad configuration or usage; nothing was connected",
        }
    )
)
@click.option(
    "--config",
    "config_path",
    required=True,
    metavar="PATH",
    help="Configuration in YAML. A .env file beside it is read first.",
)
@click.option(
    "--timeout",
    "timeout_ms",
    type=Duration(),
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="What is not answered by then is an error.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, for machines.")
def check(config_path: str, *, timeout_ms: int, as_json: bool) -> ExitCode:
    """Connect to everything that a run needs, and say what is missing and how to mend it.

    \b
    Examples:
      mongo-gcp-stream check --config config.yaml
      mongo-gcp-stream check --config config.yaml --json | jq '.[] | select(.severity == "error")'

    For each connection: the server's version, replica set, the user's privileges (with the role
    that would be enough), whether every stream opens at its stored position, how far back the oplog
    reaches, stored images of documents, free connections. For each topic: whether it exists,
    whether the account may publish, and whether its subscriptions keep order.

    Nothing is changed: no message is published, no position moves.
    """
    # Python's handler would not run while Rust blocks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    findings = _core.check(config_path, timeout_ms=timeout_ms)
    if as_json:
        click.echo(json.dumps([_as_json(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    failed = any(finding.severity == "error" for finding in findings)
    return ExitCode.FAILED if failed else ExitCode.CLEAN


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "severity": finding.severity,
        "subject": finding.subject,
        "check": finding.check,
        "what": finding.what,
        "fix": finding.fix,
    }


def _show(findings: list[Finding]) -> None:
    for subject, group in itertools.groupby(findings, lambda finding: finding.subject):
        click.echo(click.style(subject, bold=True))
        for finding in group:
            severity = click.style(f"{finding.severity:7}", fg=_COLORS[finding.severity])
            click.echo(f"  {severity}  {finding.check}: {finding.what}")
            if finding.fix:
                click.echo(f"           {click.style('fix', fg='cyan')}: {finding.fix}")
    counts = {
        name: sum(finding.severity == severity for finding in findings)
        for name, severity in (("errors", "error"), ("warnings", "warning"), ("skipped", "skipped"))
    }
    click.echo("\n" + ", ".join(f"{count} {name}" for name, count in counts.items()))
