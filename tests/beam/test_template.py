"""The Flex Template is right, as far as that shows without Dataflow; what is wrong is found."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import load_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
IMAGE = "europe-west1-docker.pkg.dev/my-project/dataflow/mongo-gcp-stream:0.1.0"
CANARY = "mongodb+srv://app:hunter2@cluster0.abcde.mongodb.net/"

Json = dict[str, Any]


def _program() -> ModuleType:
    """docker/template.py: a program beside the Dockerfile, part of no package."""
    spec = importlib.util.spec_from_file_location("flex_template", DOCKER / "template.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


template = _program()


def parameters(spec: Json) -> dict[str, Json]:
    return {parameter["name"]: parameter for parameter in spec["metadata"]["parameters"]}


@pytest.fixture
def spec() -> Json:
    metadata, environment = template.read("metadata.json"), template.read("environment.json")
    assembled: Json = template.assemble(IMAGE, metadata, environment)
    return copy.deepcopy(assembled)


@pytest.fixture
def values() -> Json:
    read: Json = template.read("parameter_values.json")
    return read


def test_make_template_writes_a_valid_spec(tmp_path: Path) -> None:
    out = tmp_path / "template" / "spec.json"
    program = [sys.executable, str(DOCKER / "template.py"), "--image", IMAGE, "--out", str(out)]
    told = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    written = json.loads(out.read_text())
    assert written["image"] == written["defaultEnvironment"]["sdkContainerImage"] == IMAGE
    assert written["sdkInfo"] == {"language": "PYTHON"}
    assert f"{len(parameters(written))} parameters" in told


def test_the_template_is_valid_and_small(spec: Json, values: Json) -> None:
    template.validate(spec, values)
    assert spec["defaultEnvironment"]["maxWorkers"] == 1
    required = {name for name, entry in parameters(spec).items() if not entry.get("isOptional")}
    assert required == set()


def _accept_a_plain_uri(spec: Json) -> None:
    parameters(spec)["mongodb_uri"]["regexes"] = ["^(secret|mongodb|mongodb[+]srv)://.+$"]


def _forget_the_end(spec: Json) -> None:
    parameters(spec)["mongodb_uri"]["regexes"] = ["^secret://"]


WRONG: dict[str, tuple[Callable[[Json], object], str]] = {
    "a field of the spec": (lambda spec: spec.update(images="x"), 'no field named "images"'),
    "a field of a parameter": (
        lambda spec: parameters(spec)["resume"].update(optional=True),
        'no field named "optional"',
    ),
    "a field of the environment": (
        lambda spec: spec["defaultEnvironment"].update(max_num_workers=1),
        'no field named "max_num_workers"',
    ),
    "a type": (lambda spec: spec["metadata"].update(streaming="yes"), "streaming"),
    "a word": (
        lambda spec: parameters(spec)["output_topic"].update(paramType="TOPIC"),
        "TOPIC",
    ),
    "an image without a tag": (lambda spec: spec.update(image="mongo-gcp-stream"), "image: "),
    "a regex": (
        lambda spec: parameters(spec)["end_at"].update(regexes=["^[0-9$"]),
        "parameter 'end_at': ^[0-9$: unterminated",
    ),
    "a lookahead": (
        lambda spec: parameters(spec)["database"].update(regexes=["^(?!admin).+$"]),
        "lookaround",
    ),
    "no regex": (lambda spec: parameters(spec)["schemas"].pop("regexes"), "`regexes` are needed"),
    "a regex without an end": (_forget_the_end, "`^…$` is needed"),
    "a plain connection string is taken": (_accept_a_plain_uri, "'mongodb_uri' takes 'mongodb://"),
    "a choice that is refused": (
        lambda spec: parameters(spec)["resume"]["enumOptions"][0].update(value="RESUME"),
        "'resume' refuses 'RESUME'",
    ),
    "a parameter nobody tried": (
        lambda spec: spec["metadata"]["parameters"][0].update(name="uri"),
        "belongs into both",
    ),
    "a parameter that is there twice": (
        lambda spec: spec["metadata"]["parameters"].append(parameters(spec)["resume"]),
        "belongs into both",
    ),
    "no help": (lambda spec: parameters(spec)["resume"].pop("helpText"), "`helpText` are needed"),
    "a mode that is not supported": (
        lambda spec: spec["metadata"].update(supportsExactlyOnce=False),
        "defaultStreamingMode",
    ),
    "more workers than allowed": (
        lambda spec: spec["defaultEnvironment"].update(numWorkers=2),
        "numWorkers <= maxWorkers",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(spec: Json, values: Json, what: str) -> None:
    spoil, expected = WRONG[what]
    spoil(spec)
    with pytest.raises(template.TemplateError, match=re.escape(expected)):
        template.validate(spec, values)


def test_a_parameter_without_bad_values_is_not_tried(spec: Json, values: Json) -> None:
    values["mongodb_uri"]["bad"] = []
    with pytest.raises(template.TemplateError, match="good and bad values are needed"):
        template.validate(spec, values)


def test_the_secret_is_a_reference_only(spec: Json) -> None:
    (expression,) = parameters(spec)["mongodb_uri"]["regexes"]
    assert not re.search(expression, CANARY)
    assert not re.search(expression, f"secret://projects/p1/secrets/s/versions/1{CANARY}")


def test_the_image_has_the_beam_of_the_lock_and_nothing_of_this_folder() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    (beam,) = re.findall(r"^ARG BEAM_VERSION=(.+)$", dockerfile, re.MULTILINE)
    assert beam == version("apache-beam")
    copied = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)
    sent = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert [line for line in sent if not line.startswith("#")] == [
        "*",
        *(f"!{path}" for path in copied),
    ]


def test_template_and_configuration_begin_equally_small(spec: Json) -> None:
    config = load_config(ROOT / "config" / "dataflow.yaml")
    environment = spec["defaultEnvironment"]
    assert config.get("dataflow.machine_type") == environment["machineType"]
    assert config.get("dataflow.num_workers") == environment["numWorkers"]
    assert config.get("dataflow.max_num_workers") == environment["maxWorkers"]
