"""MongoDB change streams to Google Cloud Pub/Sub: nothing lost, order kept.

The work is done in Rust (`mongo_gcp_stream._core`); what Python sees is described there.
"""

from mongo_gcp_stream._core import Failure, Runner, RunReport, __version__, to_extended_json
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError, RecordError

__all__ = [
    "ConfigError",
    "Failure",
    "MongoGcpStreamError",
    "RecordError",
    "RunReport",
    "Runner",
    "__version__",
    "to_extended_json",
]
