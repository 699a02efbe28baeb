"""MongoDB change streams to Google Cloud Pub/Sub: nothing lost, order kept.

The work is done in Rust (`mongo_gcp_stream._core`); what Python sees is described there.
"""

from mongo_gcp_stream._core import (
    ChangeBatch,
    ChangeEvent,
    Failure,
    Runner,
    RunReport,
    StreamStatistics,
    __version__,
    to_extended_json,
)
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError, StreamFailedError
from mongo_gcp_stream.manager import AsyncMongoDBConnectionManager, MongoDBConnectionManager

#: The status of a stream, under the original's name.
StreamStatus = StreamStatistics

__all__ = [
    "AsyncMongoDBConnectionManager",
    "ChangeBatch",
    "ChangeEvent",
    "ConfigError",
    "Failure",
    "MongoDBConnectionManager",
    "MongoGcpStreamError",
    "RunReport",
    "Runner",
    "StreamFailedError",
    "StreamStatistics",
    "StreamStatus",
    "__version__",
    "to_extended_json",
]
