"""Faults on a real mongod: it fails on demand what it is told to fail."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongo_gcp_stream.testing import Mongod

RESUMABLE = "ResumableChangeStreamError"


class FailPoint:
    """A fault that is in force."""

    def __init__(self, mongod: Mongod, entered_before: int) -> None:
        self._mongod = mongod
        self._before = entered_before

    def wait_until_hit(self, times: int = 1) -> None:
        """Wait until it has struck this often."""
        with self._mongod.client() as client:
            client.admin.command(
                "waitForFailPoint",
                "failCommand",
                timesEntered=self._before + times,
                maxTimeMS=60_000,
            )


@contextmanager
def failing(
    mongod: Mongod, commands: list[str], *, times: int | None = None, **fault: Any
) -> Iterator[FailPoint]:
    """Make commands fail inside the block.

    Args:
        mongod: Started with `fail_commands`.
        commands: Such as `["getMore"]`; the writes of tests use none of those named here.
        times: How often; `None` until the end of the block.
        fault: `errorCode=91`, `errorLabels=[...]`, `closeConnection=True`, or
            `blockConnection=True, blockTimeMS=500`.
    """
    mode: dict[str, int] | Literal["alwaysOn"] = "alwaysOn" if times is None else {"times": times}
    data = {"failCommands": commands, **fault}
    with mongod.client() as client:
        reply = client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        try:
            yield FailPoint(mongod, reply["count"])
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")
