"""Waiting for what another process does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Ends a wait that would never end; no test expects anything to take this long.
PATIENCE_SECONDS = 60.0


def eventually(look: Callable[[], T], what: str) -> T:
    """Look until what is seen is true, and return it.

    Raises:
        AssertionError: Not after `PATIENCE_SECONDS`.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not (seen := look()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        pause.wait(0.01)
    return seen
