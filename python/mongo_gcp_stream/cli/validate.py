"""`mongo-gcp-stream validate`: what a configuration means, without any network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mongo_gcp_stream import _core
from mongo_gcp_stream.cli.exit_codes import ExitCode, table
from mongo_gcp_stream.cli.show import show_warning

if TYPE_CHECKING:
    from mongo_gcp_stream._core import EffectiveValue, Validation


@click.command(
    epilog=table(
        {
            ExitCode.CLEAN: "the configuration is valid",
            ExitCode.USAGE: "bad configuration or usage",
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
def validate(config_path: str, *, as_json: bool) -> ExitCode:
    """Check a configuration file, and print every value with where it came from.

    \b
    Examples:
      mongo-gcp-stream validate --config config.yaml
      mongo-gcp-stream validate --config config.yaml --json | jq '.values[] | select(.line)'

    Nothing is connected. A value comes from a line of the file, with the variables in it from the
    environment or .env; from a MONGO_GCP_STREAM__… variable, which goes before the file; or it is
    the default. Passwords and tokens are printed as ***.
    """
    validation = _core.validate(config_path)
    if as_json:
        click.echo(json.dumps(_as_json(config_path, validation), indent=2))
        return ExitCode.CLEAN
    for warning in validation.warnings:
        show_warning(warning)
    width = max(len(value.path) for value in validation.values)
    for value in validation.values:
        origin = click.style(_origin(value), dim=True)
        click.echo(f"{value.path:{width}}  {_text(value)}  {origin}")
    streams = ", ".join(validation.streams)
    click.echo(f"\n{config_path} is valid; streams: {streams}")
    return ExitCode.CLEAN


def _as_json(config_path: str, validation: Validation) -> dict[str, Any]:
    values = [
        {
            "path": value.path,
            "value": json.loads(value.value),
            "source": value.source,
            "line": value.line,
            "variables": value.variables,
        }
        for value in validation.values
    ]
    return {
        "file": config_path,
        "streams": validation.streams,
        "warnings": validation.warnings,
        "values": values,
    }


def _text(value: EffectiveValue) -> str:
    content = json.loads(value.value)
    if content is None:
        return "(none)"
    return content if isinstance(content, str) and content else value.value


def _origin(value: EffectiveValue) -> str:
    variables = [
        f"{name} from {_PLACES.get(place, place)}" for name, place in value.variables.items()
    ]
    if value.source == "default":
        return "default"
    line = [f"line {value.line}"] if value.line else []
    return ", ".join([*line, *variables]) or value.source


_PLACES = {"environment": "the environment", "default": "its default"}
