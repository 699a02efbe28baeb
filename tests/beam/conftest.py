"""Fixtures: a Prism for the tests of a worker, and a recorder for what a pipeline does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.beam_runner import PrismServer
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def prism() -> Iterator[PrismServer]:
    """A Prism shared by the tests of a worker."""
    with PrismServer() as server:
        yield server


@pytest.fixture
def recorder() -> Recorder:
    """What DoFns in LOOPBACK tell the test."""
    return Recorder()
