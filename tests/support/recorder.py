"""What a pipeline does, told to the test that runs it."""

from __future__ import annotations

import json
import os
import threading
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_RECORDERS: dict[str, Recorder] = {}


class Recorder:
    """A list that the DoFns of a pipeline add to while a test looks at it.

    Workers in LOOPBACK are threads of the test's own process: pickled with a DoFn and unpickled in
    a worker, it is the very same object again.
    """

    def __init__(self) -> None:
        self._name = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._events: list[Any] = []
        _RECORDERS[self._name] = self

    def add(self, event: Any) -> None:
        """Add what happened."""
        with self._lock:
            self._events.append(event)

    def events(self) -> list[Any]:
        """Return what has happened so far, in order."""
        with self._lock:
            return list(self._events)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _same, (self._name,)


def _same(name: str) -> Recorder:
    assert name in _RECORDERS, "a Recorder works in the test's own process: use LOOPBACK"
    return _RECORDERS[name]


class FileRecorder:
    """The same in a file, for workers that are processes of their own; what it takes is JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def add(self, event: Any) -> None:
        """Add what happened: a line, written at once and after those of every other process."""
        line = json.dumps(event) + "\n"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def events(self) -> list[Any]:
        """Return what has happened so far, in order."""
        return [json.loads(line) for line in self._path.read_text().splitlines()]
