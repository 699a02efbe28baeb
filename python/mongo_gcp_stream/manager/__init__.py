"""Change streams of many MongoDB connections, read from Python: with asyncio, or without."""

from mongo_gcp_stream.manager.asynchronous import AsyncMongoDBConnectionManager
from mongo_gcp_stream.manager.blocking import MongoDBConnectionManager
from mongo_gcp_stream.manager.iterators import AsyncBatches, AsyncChanges, Batches, Changes

__all__ = [
    "AsyncBatches",
    "AsyncChanges",
    "AsyncMongoDBConnectionManager",
    "Batches",
    "Changes",
    "MongoDBConnectionManager",
]
