"""A batch of changes as an Arrow table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mongo_gcp_stream._core import ChangeBatch


def to_arrow(batch: ChangeBatch, documents: list[tuple[bytes | None, bytes | None]]) -> Any:
    """What `ChangeBatch.to_arrow` says; `documents` are each event's key and document as JSON."""
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
            "document_key": pa.array([key for key, _ in documents], pa.string()),
            "full_document": pa.array([document for _, document in documents], pa.string()),
            "event": pa.array(batch.raw(), pa.binary()),
        }
    )
