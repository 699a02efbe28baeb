"""Assembles the container spec of the Flex Template and validates it, without the cloud.

    python docker/template.py --image IMAGE --out target/template/mongo-gcp-stream.json

The spec is what `gcloud dataflow flex-template build` would write to Cloud Storage: the image, the
language, `metadata.json` and, as `defaultEnvironment`, `environment.json`. Dataflow itself says
what is wrong in it only when a job is launched.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from google.cloud.dataflow_v1beta3 import (
    ContainerSpec,
    FlexTemplateRuntimeEnvironment,
    ParameterMetadata,
    TemplateMetadata,
)
from google.protobuf.json_format import ParseError

FOLDER = Path(__file__).parent

#: Workers that a job may have (documentation of `FlexTemplateRuntimeEnvironment.max_workers`).
MOST_WORKERS = 1000

#: Lookarounds and back references: the service's expressions need not know them.
_NOT_PORTABLE = re.compile(r"\(\?[=!<]|\\[1-9]")

#: A registry, a path and a tag or a digest: an image that may change under a job is none.
_IMAGE = re.compile(r"[a-z0-9.-]+\.[a-z]+(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})")

Json = dict[str, Any]


class TemplateError(ValueError):
    """What is wrong in the template, with the place it is at."""


def read(name: str) -> Json:
    """Read a JSON file beside this one.

    Raises:
        TemplateError: It is not JSON.
    """
    try:
        content: Json = json.loads((FOLDER / name).read_text())
    except json.JSONDecodeError as error:
        raise TemplateError(f"docker/{name}: {error}") from error
    return content


def assemble(image: str, metadata: Json, environment: Json) -> Json:
    """The container spec. The workers run the image that launches them.

    Args:
        image: The image in its registry, with a tag or a digest.
        metadata: A `TemplateMetadata`.
        environment: A `FlexTemplateRuntimeEnvironment`.
    """
    return {
        "image": image,
        "sdkInfo": {"language": "PYTHON"},
        "metadata": metadata,
        "defaultEnvironment": {**environment, "sdkContainerImage": image},
    }


def validate(spec: Json, values: Json) -> None:
    """Check the spec as far as that goes without Dataflow.

    Args:
        spec: The container spec.
        values: For each parameter lists `good` and `bad` of values.

    Raises:
        TemplateError: For the first thing that is wrong.
    """
    try:
        parsed: ContainerSpec = ContainerSpec.from_json(json.dumps(spec))
    except ParseError as error:
        raise TemplateError(f"not a ContainerSpec: {error}") from error
    if not _IMAGE.fullmatch(parsed.image):
        raise TemplateError(f"image: expected REGISTRY/PATH:TAG, found {parsed.image!r}")
    _check_metadata(parsed.metadata)
    _check_environment(parsed.default_environment)
    names = [parameter.name for parameter in parsed.metadata.parameters]
    if len(set(names)) < len(names) or set(names) != set(values):
        raise TemplateError(
            f"parameter_values.json has {sorted(values)}, metadata.json {sorted(names)}: "
            "each parameter belongs into both, once"
        )
    for parameter in parsed.metadata.parameters:
        _check_parameter(parameter)
        _try_values(parameter, values[parameter.name])


def _check_metadata(metadata: TemplateMetadata) -> None:
    if not (metadata.name and metadata.description and metadata.streaming):
        raise TemplateError("metadata: `name`, `description` and `streaming: true` are needed")
    both = metadata.supports_at_least_once and metadata.supports_exactly_once
    mode = metadata.default_streaming_mode
    if mode not in ({"AT_LEAST_ONCE", "EXACTLY_ONCE"} if both else {""}):
        raise TemplateError(
            "metadata.defaultStreamingMode: AT_LEAST_ONCE or EXACTLY_ONCE where both are "
            f"supported, else nothing; found {mode!r}"
        )


def _check_environment(environment: FlexTemplateRuntimeEnvironment) -> None:
    """Where nobody says how large a job is, it is small."""
    first, most = environment.num_workers, environment.max_workers
    if not 1 <= first <= most <= MOST_WORKERS:
        raise TemplateError(
            "defaultEnvironment: expected 1 <= numWorkers <= maxWorkers <= "
            f"{MOST_WORKERS}, found {first} and {most}"
        )
    if not environment.machine_type:
        raise TemplateError("defaultEnvironment.machineType: missing")


def _check_parameter(parameter: ParameterMetadata) -> None:
    place = f"parameter {parameter.name!r}"
    if not (parameter.label and parameter.help_text):
        raise TemplateError(f"{place}: `label` and `helpText` are needed")
    if not parameter.regexes:
        raise TemplateError(f"{place}: `regexes` are needed")
    for expression in parameter.regexes:
        if not (expression.startswith("^") and expression.endswith("$")):
            raise TemplateError(f"{place}: `^…$` is needed around {expression}")
        if _NOT_PORTABLE.search(expression):
            raise TemplateError(f"{place}: lookaround or back reference in {expression}")
        try:
            re.compile(expression)
        except re.error as error:
            raise TemplateError(f"{place}: {expression}: {error}") from error


def _try_values(parameter: ParameterMetadata, values: Json) -> None:
    """Every good value is taken, every bad one refused, and there are some of each."""
    expressions = [re.compile(expression, re.ASCII) for expression in parameter.regexes]
    good, bad = values["good"], values["bad"]
    if not good or not bad:
        raise TemplateError(f"parameter {parameter.name!r}: good and bad values are needed")
    offered = [option.value for option in parameter.enum_options]
    default = [parameter.default_value] if parameter.default_value else []
    for value in [*good, *offered, *default]:
        if not all(expression.search(value) for expression in expressions):
            raise TemplateError(f"parameter {parameter.name!r} refuses {value!r}")
    for value in bad:
        if all(expression.search(value) for expression in expressions):
            raise TemplateError(f"parameter {parameter.name!r} takes {value!r}")


def main(arguments: list[str] | None = None) -> int:
    """Write the validated spec; 1 if something is wrong with it."""
    parser = argparse.ArgumentParser(description="Assemble and validate the Flex Template.")
    parser.add_argument("--image", required=True, help="the image, as REGISTRY/PATH:TAG")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(arguments)
    try:
        spec = assemble(options.image, read("metadata.json"), read("environment.json"))
        validate(spec, read("parameter_values.json"))
    except TemplateError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(spec, indent=2) + "\n")
    count = len(spec["metadata"]["parameters"])
    sys.stdout.write(f"{options.out}: valid, {count} parameters, image {options.image}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
