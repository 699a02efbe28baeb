"""Where a mongod is."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from mongo_gcp_stream.errors import MongoGcpStreamError

#: Debian's packages of the libraries that the binary in the wheel links and slim images lack.
_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "liblber-2.5.so.0": "libldap-2.5-0",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
}

_INSTALL = (
    "Put a mongod (6.0 or newer) on PATH, or on Linux x86-64 run "
    "`pip install 'mongo_gcp_stream[demo]'`, which brings one."
)


class MongodUnavailableError(MongoGcpStreamError, FileNotFoundError):
    """There is no mongod that runs on this machine."""


@cache
def find_mongod() -> Path:
    """Find a mongod that runs: the one on PATH, else the one in the extra ``demo``.

    Raises:
        MongodUnavailableError: There is none, or it lacks a shared library; ``hint`` says what to
            install.
    """
    found = shutil.which("mongod")
    path = Path(found) if found else _in_wheel()
    if path is None:
        raise MongodUnavailableError("no mongod found", hint=_INSTALL)
    _require_runnable(path)
    return path


def _in_wheel() -> Path | None:
    """Locate the binary without importing the package, which would start a database."""
    package = importlib.util.find_spec("fiftyone")
    if package is None:
        return None
    for folder in package.submodule_search_locations or []:
        path = Path(folder) / "db" / "bin" / "mongod"
        if path.is_file():
            return path
    return None


def _require_runnable(path: Path) -> None:
    try:
        version = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        raise MongodUnavailableError(f"{path} cannot be run: {error}", hint=_INSTALL) from error
    if version.returncode == 0:
        return
    missing = _missing_libraries(path)
    if not missing:
        reason = (version.stderr or version.stdout).strip().splitlines()
        raise MongodUnavailableError(
            f"{path} does not run: {reason[0] if reason else f'exit code {version.returncode}'}",
            hint=_INSTALL,
        )
    packages = sorted({_PACKAGES.get(library, f"the package of {library}") for library in missing})
    raise MongodUnavailableError(
        f"{path} does not run: it lacks {', '.join(missing)}",
        hint=f"Install {' '.join(packages)} (`apt-get install …` on Debian and Ubuntu).",
    )


def _missing_libraries(path: Path) -> list[str]:
    """Ask the loader for all of them: mongod itself only names the first."""
    try:
        linked = subprocess.run(
            ["ldd", path], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return []
    return re.findall(r"^\s*(\S+) => not found", linked.stdout, re.MULTILINE)
