"""Fixtures: the MongoDB that `tests/.env.test` names, and a database on it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient

from tests.support.live import NotConfiguredError, ProductionError, live_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database


@pytest.fixture(scope="session")
def uri() -> str:
    """The connection string; without one the test is skipped, with that of `.env` it fails."""
    try:
        return live_uri()
    except NotConfiguredError as missing:
        pytest.skip(str(missing))
    except ProductionError as refused:
        pytest.fail(str(refused), pytrace=False)


@pytest.fixture
def database(uri: str) -> Iterator[Database[dict[str, Any]]]:
    """A database of the test's own, dropped behind it."""
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=10_000) as client:
        database = client[f"mongo_gcp_stream_live_{uuid.uuid4().hex[:12]}"]
        try:
            yield database
        finally:
            client.drop_database(database)
