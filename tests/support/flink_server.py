"""Flink on this machine: Beam's job server for it, and workers that a test may kill.

`python -m tests.support.flink_server` assembles the job server with Maven into
`target/flink_job_server/`, ahead of the tests.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from apache_beam.options.pipeline_options import PipelineOptions

from tests.support.guarded import GuardedProcess
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
POM = Path(__file__).with_name("flink") / "pom.xml"

_MAIN = "org.apache.beam.runners.flink.FlinkJobServerDriver"

#: Packages of Java that Flink 1.19 and Beam reach into, which Java closes since version 16.
_OPENED = (
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.net",
    "java.nio",
    "java.time",
)


def why_not() -> str:
    """What keeps the job server from running on this machine; nothing where it can."""
    java = _java_version()
    if java != "17":
        return f"Flink 1.19 runs on Java 17, and on PATH is {f'Java {java}' if java else 'none'}"
    if not _jars().exists() and shutil.which("mvn") is None:
        return "Maven assembles the Flink job server, and there is no `mvn` on PATH"
    return ""


def job_server_jars() -> Path:
    """The folder with the job server's jars; assembled once for each state of the pom."""
    jars = _jars()
    if not jars.exists():
        jars.parent.mkdir(parents=True, exist_ok=True)
        # Several test processes may assemble at the same time: the first one stays.
        with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
            made = Path(folder) / "jars"
            command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
            wanted = ["-DincludeScope=runtime", f"-DoutputDirectory={made}"]
            subprocess.run([*command, *wanted], check=True)
            if not jars.exists():
                made.rename(jars)
    return jars


class FlinkServer:
    """A job server that starts a Flink in itself for each pipeline, with workers in processes.

    Its Cancel ends what the caller sees, while the pipeline goes on until the `with` block ends: a
    test has a server of its own. (Workers in LOOPBACK would then lose their runner, and fail.)
    """

    def __init__(self) -> None:
        self.workers = WorkerPool()
        """What starts workers, and kills them."""
        opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
        jvm = ["java", *opens, "-Xmx1g", "-Djava.io.tmpdir=.", "-cp", f"{job_server_jars()}/*"]
        # Port 0 is one that is free; the artifacts go with the temporary folder.
        ports = ["--job-port=0", "--artifact-port=0", "--expansion-port=0"]
        where = ["--flink-master=[local]", "--job-host=localhost", "--artifacts-dir=artifacts"]
        try:
            self._process = GuardedProcess("flink", [*jvm, _MAIN, *where, *ports])
            self.endpoint = self._process.wait_for_log(r"JobService started on (\S+)")
        except BaseException:
            self.workers.close()
            raise

    def options(self, *further: str, checkpoint_ms: int = 500) -> PipelineOptions:
        """Options for a pipeline that runs here.

        Args:
            further: More of them.
            checkpoint_ms: How often Flink takes a checkpoint, in milliseconds.
        """
        return PipelineOptions(
            [
                "--runner=PortableRunner",
                f"--job_endpoint={self.endpoint}",
                "--environment_type=EXTERNAL",
                f"--environment_config={self.workers.address}",
                "--streaming",
                "--parallelism=1",
                f"--checkpointing_interval={checkpoint_ms}",
                # Without these an unbounded source does not run at all beside checkpoints.
                "--max_bundle_size=1",
                "--max_bundle_time_mills=200",
                *further,
            ]
        )

    def log(self) -> str:
        """Return what it has logged."""
        return self._process.log()

    def close(self) -> None:
        """End it and its workers."""
        self._process.close()
        self.workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class WorkerPool:
    """Starts Beam's workers as processes, as a runner asks it to."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main"]
        self._process = GuardedProcess(
            "workers", [*command, f"--service_port={self._port}"], env=_worker_environment()
        )
        try:
            eventually(self._listens, "the worker pool listens")
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """What `--environment_config` is set to."""
        return f"localhost:{self._port}"

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        found: list[int] = []
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            # The pool's threads come and go.
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (task / "children").read_text().split())
        return found

    def kill_workers(self) -> list[int]:
        """End every worker as a crash would (SIGKILL), and return their process ids."""
        killed = self.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        return killed

    def log(self) -> str:
        """Return what it and its workers have logged."""
        return self._process.log()

    def close(self) -> None:
        """End it and its workers."""
        self._process.close()

    def _listens(self) -> bool:
        self._process.require_running()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _worker_environment() -> dict[str, str]:
    """The pool starts its workers with the `python` on PATH; they import what the tests define."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def _jars() -> Path:
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    return ROOT / "target" / "flink_job_server" / digest


def _java_version() -> str | None:
    """The major version of the `java` on PATH."""
    if shutil.which("java") is None:
        return None
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return found[1] if found else None


if __name__ == "__main__":
    print(why_not() or job_server_jars())  # noqa: T201 -- so that a Makefile can do it ahead
