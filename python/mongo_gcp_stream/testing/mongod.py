"""A mongod of one's own: started, stopped and killed at will, gone with the process."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream.errors import MongoGcpStreamError
from mongo_gcp_stream.testing.binary import find_mongod
from mongo_gcp_stream.testing.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from pymongo import MongoClient
    from typing_extensions import Self

#: How long a mongod may take to become primary; it takes about two seconds on an idle machine.
_START_SECONDS = 60.0


class MongodFailedError(MongoGcpStreamError):
    """A mongod ended while it was starting, or did not become primary in time."""


class Mongod:
    """A replica set of one member on 127.0.0.1, with its data in a temporary folder.

    Used as a context manager it starts at once and, at the end, leaves neither a process nor a
    file. The same holds when this process crashes or is killed.

    Args:
        replica_set: Name of the replica set; ``None`` starts a standalone, on which change streams
            do not work.
        password: With a password, users must log in; ``uri`` is then that of a user ``root``
            with this password.
        fail_commands: Allow ``failCommand``, by which a server fails on demand.
        cache_gb: Size of the storage engine's cache.
        port: Port to listen on; 0 picks a free one, which a later :meth:`start` keeps.
        arguments: Further command-line arguments.
    """

    def __init__(
        self,
        *,
        replica_set: str | None = "rs0",
        password: str | None = None,
        fail_commands: bool = False,
        cache_gb: float = 0.25,
        port: int = 0,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.replica_set = replica_set
        self.password = password
        self.port: int = port or _free_port()
        self._options = [f"--wiredTigerCacheSizeGB={cache_gb}", *arguments]
        if fail_commands:
            self._options += ["--setParameter", "enableTestCommands=1"]
        self._guard: Guard | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Address as ``127.0.0.1:27017``."""
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """Connection string, with user and password where there are any."""
        user = f"root:{self.password}@" if self.password else ""
        options = "authSource=admin" if self.password else ""
        if self.replica_set:
            options += ("&" if options else "") + f"replicaSet={self.replica_set}"
        return f"mongodb://{user}{self.host}/?{options}"

    def client(self) -> MongoClient[dict[str, Any]]:
        """Connect a new pymongo client; the caller closes it."""
        from pymongo import MongoClient

        return MongoClient(self.uri, serverSelectionTimeoutMS=10_000)

    def start(self) -> Self:
        """Start on the data of the last time, if any, and wait until it can be written to.

        Raises:
            MongodUnavailableError: There is no mongod on this machine.
            MongodFailedError: It did not come up; the message ends with its last log lines.
        """
        if self._process is not None:
            return self
        binary = find_mongod()
        first = self._guard is None
        guard = self._guard = self._guard or Guard("mongod-")
        data = guard.folder / "data"
        data.mkdir(exist_ok=True)
        command = [str(binary), f"--port={self.port}", f"--dbpath={data}", *self._fixed_options()]
        try:
            with (guard.folder / "stdout.log").open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            guard.watch(self._process.pid)
            self._become_ready(first=first)
        except BaseException:
            self.close()
            raise
        return self

    def stop(self) -> None:
        """Shut it down cleanly and keep the data; :meth:`start` brings it back."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL) and keep the data; :meth:`start` brings it back."""
        self._end(kill=True)

    def close(self) -> None:
        """End it and remove its data."""
        self._end(kill=True)
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _fixed_options(self) -> Iterator[str]:
        yield "--bind_ip=127.0.0.1"
        yield "--nounixsocket"
        # An idle server writes a no-op each second instead of each ten: positions move soon.
        yield from ("--setParameter", "periodicNoopIntervalSecs=1")
        yield from self._options
        if self.replica_set:
            yield f"--replSet={self.replica_set}"
        if self.password and self._guard:
            keyfile = self._guard.folder / "keyfile"
            if not keyfile.exists():
                keyfile.touch(mode=0o600)
                keyfile.write_text(secrets.token_hex(32))
            yield from ("--auth", f"--keyFile={keyfile}")

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._guard is not None:
            self._guard.watch(0)

    def _become_ready(self, *, first: bool) -> None:
        from pymongo import MongoClient
        from pymongo.errors import OperationFailure

        deadline = time.monotonic() + _START_SECONDS
        # No user yet on the first start: the server lets a local client make one (once).
        with MongoClient[dict[str, Any]](
            self.host, directConnection=True, serverSelectionTimeoutMS=500
        ) as client:
            self._await(
                client, "isWritablePrimary" if not first or not self.replica_set else "ok", deadline
            )
            if not first:
                return
            if self.replica_set:
                members = [{"_id": 0, "host": self.host}]
                client.admin.command(
                    "replSetInitiate", {"_id": self.replica_set, "members": members}
                )
                self._await(client, "isWritablePrimary", deadline)
            if self.password:
                try:
                    client.admin.command("createUser", "root", pwd=self.password, roles=["root"])
                except OperationFailure as error:
                    raise MongodFailedError(f"no user could be made: {error}") from error

    def _await(self, client: MongoClient[dict[str, Any]], field: str, deadline: float) -> None:
        """Ask ``hello`` until ``field`` of the answer is true."""
        from pymongo.errors import PyMongoError

        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise MongodFailedError(
                    f"mongod ended with {self._process.returncode}: {self._log_end()}"
                )
            try:
                if client.admin.command("hello").get(field):
                    return
            except PyMongoError:
                pass  # not listening yet: `serverSelectionTimeoutMS` is the wait
            time.sleep(0.02)
        raise MongodFailedError(
            f"mongod is not ready after {_START_SECONDS:.0f} s: {self._log_end()}"
        )

    def _log_end(self) -> str:
        if self._guard is None:
            return ""
        log = (self._guard.folder / "stdout.log").read_text(errors="replace")
        return "\n" + "\n".join(log.splitlines()[-5:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
