"""MongoDB change streams in Apache Beam, and ordered publishing to Pub/Sub.

Needs the extra `mongo_gcp_stream[beam]`.

Example:
    ```python
    with beam.Pipeline(options=PipelineOptions(streaming=True)) as p:
        (
            p
            | ReadFromMongoDBChangeStream(uri=uri, database="shop", collection="orders")
            | ValidateAndEnrich(schemas={"main.orders": {"orderNo": {"type": "number"}}})
            | WriteToPubSub("projects/my-project/topics/shop-changes")
        )
    ```
"""

from __future__ import annotations

try:
    import apache_beam as _beam  # noqa: F401 -- only to tell what is missing
except ImportError as error:
    message = "mongo_gcp_stream.beam needs Apache Beam: pip install 'mongo_gcp_stream[beam]'"
    raise ImportError(message) from error

from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch
from mongo_gcp_stream.beam.read import ReadFromMongoDBChangeStream
from mongo_gcp_stream.beam.transform import ValidateAndEnrich
from mongo_gcp_stream.beam.write import WriteToPubSub

__all__ = [
    "ChangeBatch",
    "ChangeEvent",
    "MessageBatch",
    "ReadFromMongoDBChangeStream",
    "ValidateAndEnrich",
    "WriteToPubSub",
]
