"""Fixtures: a database of each test's own."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.support.reading import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mongo_gcp_stream.testing import Mongod

_databases = (f"read{number}" for number in itertools.count(1))


@pytest.fixture
def shop(mongod: Mongod, tmp_path: Path) -> Iterator[Shop]:
    """A database on the mongod that a worker's tests share."""
    shop = Shop(mongod, next(_databases), tmp_path)
    with shop.client:
        yield shop


@pytest.fixture
def own_shop(own_mongod: Mongod, tmp_path: Path) -> Iterator[Shop]:
    """The same on a mongod that the test may stop."""
    shop = Shop(own_mongod, next(_databases), tmp_path)
    with shop.client:
        yield shop
