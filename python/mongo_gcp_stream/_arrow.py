"""A batch of changes as an Arrow table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson

from mongo_gcp_stream._core import to_extended_json

if TYPE_CHECKING:
    from mongo_gcp_stream._core import ChangeBatch


def to_arrow(batch: ChangeBatch) -> Any:
    """What `ChangeBatch.to_arrow` says."""
    try:
        import pyarrow as pa
    except ImportError as error:
        message = "to_arrow needs pyarrow: pip install 'mongo_gcp_stream[arrow]'"
        raise ImportError(message) from error
    changes = list(batch)
    times = [change.cluster_time for change in changes]
    return pa.table(
        {
            "event_id": pa.array([change.event_id for change in changes], pa.string()),
            "operation_type": pa.array([change.operation_type for change in changes], pa.string()),
            "database": pa.array([change.database for change in changes], pa.string()),
            "collection": pa.array([change.collection for change in changes], pa.string()),
            "cluster_time": pa.array(
                [None if time is None else time.time for time in times],
                pa.timestamp("s", tz="UTC"),
            ),
            "document_key": pa.array(
                [_json(change.document_key) for change in changes], pa.string()
            ),
            "full_document": pa.array(
                [_json(change.full_document) for change in changes], pa.string()
            ),
            "event": pa.array(batch.raw(), pa.binary()),
        }
    )


def _json(document: dict[str, Any] | None) -> str | None:
    """Relaxed Extended JSON."""
    return None if document is None else to_extended_json(bson.encode(document)).decode()
