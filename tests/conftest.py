"""Fixtures: one mongod a worker, and a Pub/Sub, a database and a topic for each test."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.testing import Mongod

from tests.support.line import Line
from tests.support.pubsub_fake import PubSubFake
from tests.support.reading import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OWN_PROCESS = "MONGO_GCP_STREAM_TEST_OWN_PROCESS"
_databases = (f"shop{number}" for number in itertools.count(1))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test marked `own_process` in one: what the first user of a process settles is open."""
    if pyfuncitem.get_closest_marker("own_process") is None or _OWN_PROCESS in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", pyfuncitem.nodeid]
    environment = os.environ | {_OWN_PROCESS: "1"}
    folder = pyfuncitem.config.rootpath
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return True


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """A mongod shared by the tests of a worker, which fails on demand."""
    with Mongod(fail_commands=True) as server:
        yield server


@pytest.fixture
def own_mongod() -> Iterator[Mongod]:
    """A mongod that a test may stop."""
    with Mongod() as server:
        yield server


@pytest.fixture
def pubsub() -> Iterator[PubSubFake]:
    """Google's Pub/Sub fake, made as strict as the service."""
    with PubSubFake() as fake:
        yield fake


@pytest.fixture
def line(tmp_path: Path, mongod: Mongod, pubsub: PubSubFake) -> Iterator[Line]:
    """A collection, a topic, a configuration and a state folder of the test's own."""
    yield from _line(tmp_path, mongod, pubsub)


@pytest.fixture
def own_line(tmp_path: Path, own_mongod: Mongod, pubsub: PubSubFake) -> Iterator[Line]:
    """The same on a mongod that the test may stop."""
    yield from _line(tmp_path, own_mongod, pubsub)


def _line(folder: Path, mongod: Mongod, pubsub: PubSubFake) -> Iterator[Line]:
    line = Line(folder, mongod, pubsub, next(_databases))
    with line.client:
        yield line


@pytest.fixture
def shop(mongod: Mongod, tmp_path: Path) -> Iterator[Shop]:
    """A database of the test's own, for what reads from Python."""
    shop = Shop(mongod, next(_databases), tmp_path)
    with shop.client:
        yield shop


@pytest.fixture
def own_shop(own_mongod: Mongod, tmp_path: Path) -> Iterator[Shop]:
    """The same on a mongod that the test may stop."""
    shop = Shop(own_mongod, next(_databases), tmp_path)
    with shop.client:
        yield shop
