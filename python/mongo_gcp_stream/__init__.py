"""MongoDB change streams to Google Cloud Pub/Sub: nothing lost, order kept.

The work is done in Rust (`mongo_gcp_stream._core`); what Python sees is described there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from mongo_gcp_stream.errors import (
    ConfigError,
    MongoGcpStreamError,
    PublishError,
    PublishTimeoutError,
    PubSubSinkError,
    StreamFailedError,
    TopicNotFoundError,
    ValidationError,
)

if TYPE_CHECKING:
    from mongo_gcp_stream.config import Config, ConfigManager, load_config
    from mongo_gcp_stream.log import configure_logging
    from mongo_gcp_stream.manager import AsyncMongoDBConnectionManager, MongoDBConnectionManager
    from mongo_gcp_stream.sink import AsyncPubSubSink, FailedMessage, PubSubSink
    from mongo_gcp_stream.validator import DocumentValidator

#: The status of a stream, under the original's name.
StreamStatus = StreamStatistics

#: Where the names are that are loaded when they are asked for: `mongo-gcp-stream run` needs none of
#: them, and asyncio and bson are many times its own size.
_LAZY = {
    "AsyncMongoDBConnectionManager": "manager",
    "AsyncPubSubSink": "sink",
    "Config": "config",
    "ConfigManager": "config",
    "DocumentValidator": "validator",
    "FailedMessage": "sink",
    "MongoDBConnectionManager": "manager",
    "PubSubSink": "sink",
    "configure_logging": "log",
    "load_config": "config",
}

__all__ = [
    "AsyncMongoDBConnectionManager",
    "AsyncPubSubSink",
    "ChangeBatch",
    "ChangeEvent",
    "Config",
    "ConfigError",
    "ConfigManager",
    "DocumentValidator",
    "FailedMessage",
    "Failure",
    "MongoDBConnectionManager",
    "MongoGcpStreamError",
    "PubSubSink",
    "PubSubSinkError",
    "PublishError",
    "PublishTimeoutError",
    "RunReport",
    "Runner",
    "StreamFailedError",
    "StreamStatistics",
    "StreamStatus",
    "TopicNotFoundError",
    "ValidationError",
    "__version__",
    "configure_logging",
    "load_config",
    "to_extended_json",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- a class or a function
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
