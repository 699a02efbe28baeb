"""MongoDB change streams to Google Cloud Pub/Sub: nothing lost, order kept.

The work is done in Rust (`mongo_gcp_stream._core`); what Python sees is described there.
"""

from mongo_gcp_stream._core import (
    Failure,
    Runner,
    RunReport,
    StreamStatistics,
    __version__,
    to_extended_json,
)
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError

__all__ = [
    "ConfigError",
    "Failure",
    "MongoGcpStreamError",
    "RunReport",
    "Runner",
    "StreamStatistics",
    "__version__",
    "to_extended_json",
]
