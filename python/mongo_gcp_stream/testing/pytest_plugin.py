"""Fixtures for pytest: a mongod and a Pub/Sub for tests of one's own.

They are there once a test suite asks for them, in its topmost ``conftest.py``:

>>> pytest_plugins = ["mongo_gcp_stream.testing.pytest_plugin"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mongo_gcp_stream.testing import Emulator, Mongod

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """A replica set of one member, shared by all tests; ``mongod.uri`` connects to it.

    It starts in about two seconds, with the first test that asks for it. Tests keep out of each
    other's way by using databases of their own.
    """
    with Mongod() as server:
        yield server


@pytest.fixture
def pubsub_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An empty Pub/Sub for each test, to which ``PUBSUB_EMULATOR_HOST`` points meanwhile."""
    with Emulator() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        yield emulator
