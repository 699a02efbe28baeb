"""Every example in a command's `--help` is run as it stands.

A new command needs an example in its help and a function here, registered by the command's name,
that runs it and says what is to be seen.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.beam.prism import VARIABLE

from tests.support.beam_runner import prism_program
from tests.support.commands import commands, examples
from tests.support.dead_letters import DeadLetters
from tests.support.runner import PROGRAM
from tests.support.waiting import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.line import Line


class Scene:
    """A folder with a configuration `config.yaml` that works, a home, and a shell in it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.folder = line.folder

    def start(self, example: str) -> subprocess.Popen[str]:
        """Type an example."""
        path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
        # In an empty home one would be built.
        prism = {VARIABLE: str(prism_program())} if "beam" in example else {}
        return subprocess.Popen(
            # `exec`: signals reach the program itself.
            ["bash", "-c", f"exec {example}"],
            cwd=self.folder,
            env={**os.environ, **self.line.env, **prism, "PATH": path, "HOME": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, example: str) -> str:
        """Type an example, say yes if asked, and return its output once it has ended well."""
        with self.start(example) as process:
            stdout, stderr = process.communicate("y\n", timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, stderr
        return stdout


EXAMPLES: dict[str, Callable[[Scene, str], None]] = {}


def example(*names: str) -> Callable[[Callable[[Scene, str], None]], Callable[[Scene, str], None]]:
    """Register what runs the examples of commands."""

    def register(play: Callable[[Scene, str], None]) -> Callable[[Scene, str], None]:
        EXAMPLES.update(dict.fromkeys(names, play))
        return play

    return register


@example("run")
def stream_and_drain(scene: Scene, text: str) -> None:
    scene.line.prepare()
    orders = scene.line.orders()
    orders.write(20)
    with scene.start(text) as process:
        scene.line.wait_until_delivered(orders)
        # Ended before it has caught up, such a run would not have done what it was to do.
        if "--until-caught-up" not in text:
            process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, log
    scene.line.assert_delivered(orders)


@example("beam")
def stream_by_a_pipeline(scene: Scene, text: str) -> None:
    orders, delivered = scene.line.collection, scene.line.delivered
    with scene.start(text) as process:
        # The stream begins with the changes from its opening on.
        eventually(lambda: orders.insert_one({}) and delivered(), "an order comes out")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, log
    assert (scene.folder / "positions").exists() == ("--checkpoint" in text)


@example("demo")
def account(scene: Scene, text: str) -> None:
    assert "every change delivered, in order" in scene.run(text)


@example("completions")
def complete(scene: Scene, text: str) -> None:
    script = scene.folder / text.rpartition("~/")[2]
    script.parent.mkdir(parents=True, exist_ok=True)
    assert not scene.run(text)
    assert "_MONGO_GCP_STREAM_COMPLETE" in script.read_text()
    if "bash" in text:
        # What bash does when Tab is pressed.
        words = "COMP_WORDS=(mongo-gcp-stream ru); COMP_CWORD=1"
        function = "_mongo_gcp_stream_completion mongo-gcp-stream"
        pressed = f'source {script}; {words}; {function}; echo "${{COMPREPLY[@]}}"'
        assert scene.run(f"bash -c '{pressed}'").split() == ["run"]


@example("validate", "check", "setup", "position show", "position set", "position clear")
def answer(scene: Scene, text: str) -> None:
    # There is a stored position to show, to set and to clear.
    scene.line.prepare()
    # The oplog of this server is younger than the time in the help.
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", f"{datetime.now(timezone.utc):%FT%TZ}", text)
    # jq is the reader's: what it is given must be JSON.
    command, piped, _ = text.partition(" | jq ")
    output = scene.run(command)
    assert output.strip()
    if piped:
        json.loads(output)


@example("dead-letter list", "dead-letter redrive")
def deliver_after_all(scene: Scene, text: str) -> None:
    DeadLetters(scene.line).configure(file=True)
    scene.line.prepare()
    scene.line.pubsub.fault("status", code="INVALID_ARGUMENT")
    scene.line.orders().write(1)
    assert scene.line.catch_up().wait() == 0
    assert "main.orders" in scene.run(text)


@example("emulator")
def serve(scene: Scene, text: str) -> None:
    with scene.start(text) as process:
        assert process.stdout is not None
        assert "127.0.0.1" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, log


TYPED = [(name, text) for name, command in commands().items() for text in examples(command)]


@pytest.mark.parametrize(("name", "text"), TYPED, ids=[text for _, text in TYPED])
def test_an_example(name: str, text: str, line: Line) -> None:
    EXAMPLES[name](Scene(line), text)


def test_every_command_has_an_example_and_a_test() -> None:
    assert not [name for name, command in commands().items() if not examples(command)]
    assert not commands().keys() - EXAMPLES.keys()


def test_examples_are_typed_in_a_folder_that_has_what_they_name(line: Line) -> None:
    assert Path("config.yaml") == line.config.relative_to(line.folder)
