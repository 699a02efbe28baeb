"""Changes as Python sees them: one buffer a batch, objects only for what is looked at."""

from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any, Literal, TypeAlias, final

from bson import Timestamp

JsonMode: TypeAlias = Literal["relaxed", "canonical", "simplified"]

@final
class ChangeBatch:
    """The changes that one reply of the server brought, in stream order; never empty.

    A sequence of `ChangeEvent`: `len(batch)`, `batch[0]`, `for change in batch`. Nothing is decoded
    before it is looked at.

    Example:
        ```python
        async for batch in manager.batches("main.orders"):
            for change in batch:
                print(change.operation_type, change.full_document)
            await batch.commit()
        ```
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> ChangeEvent: ...
    def __iter__(self) -> Iterator[ChangeEvent]: ...
    @property
    def stream(self) -> str:
        """The stream that they are of, `<connection id>.<source name>`."""
    @property
    def nbytes(self) -> int:
        """Size of all events in bytes of BSON."""
    def to_bytes(self) -> bytes:
        """The events as one BSON document, with a version; so is a batch pickled."""
    @staticmethod
    def from_bytes(data: bytes) -> ChangeBatch:
        """What `to_bytes` wrote; there is nothing to commit.

        Raises:
            ValueError: It did not, or as another version.
        """
    @staticmethod
    def of_event(stream: str, event: bytes) -> ChangeBatch:
        """A batch of one event of `stream`, given as BSON; there is nothing to commit.

        Raises:
            ValueError: `event` is no document.
        """
    def commit(self, count: int | None = None) -> Committed:
        """Says that the first `count` events are done with; all of them by default.

        The position moves over the contiguous prefix of what is committed, and is stored every
        `checkpoint.interval` (1 s by default) and when the manager is closed. What is not committed
        comes again: to the next consumer, or after the next start. Reading ends once
        `flow.bytes_in_flight` bytes are read and not committed.
        """
    def raw(self) -> list[bytes]:
        """The BSON of each event."""
    def payloads(self, mode: JsonMode = "relaxed") -> list[bytes]:
        """Each event as JSON, UTF-8, made in Rust: MongoDB Extended JSON v2, or `simplified`.

        Raises:
            ValueError: Another mode.
        """
    def to_arrow(self) -> Any:
        """A `pyarrow.Table` with a row an event.

        Columns: `event_id`, `operation_type`, `database`, `collection` (string), `cluster_time`
        (timestamp, seconds, UTC), `document_key`, `full_document` (string, relaxed Extended JSON,
        null where the event has none) and `event` (binary, the BSON of the event). Needs the extra
        `mongo_gcp_stream[arrow]`.

        Raises:
            ImportError: pyarrow is not installed.
        """

@final
class Committed:
    """Whether a commit was noted. Awaiting it ends at once, with the same answer.

    False where the stream was stopped or started again meanwhile: its changes come again.
    """

    def __bool__(self) -> bool: ...
    def __await__(self) -> Generator[None, None, bool]: ...
    def __iter__(self) -> Committed: ...
    def __next__(self) -> None: ...

@final
class ChangeEvent:
    """One change event, as `$changeStream` gave it.

    Each part is decoded when it is asked for, and anew each time; documents are dicts of the types
    that pymongo gives. A date beyond the years 1 to 9999 is a `bson.datetime_ms.DatetimeMS`; what
    is not BSON, such as text that is not UTF-8, raises `bson.errors.InvalidBSON`.
    """

    def commit(self) -> Committed:
        """Says that this event and all before it in its batch are done with."""
    def to_dict(self) -> dict[str, Any]:
        """The whole event."""
    def json(self, mode: JsonMode = "relaxed") -> str:
        """The whole event as JSON text.

        Raises:
            ValueError: Another mode.
        """
    @property
    def stream(self) -> str:
        """The stream that it is of, `<connection id>.<source name>`."""
    @property
    def raw(self) -> bytes:
        """The whole event as BSON."""
    def as_batch(self) -> ChangeBatch:
        """A batch of this event alone, a copy; there is nothing to commit."""
    @staticmethod
    def from_raw(stream: str, event: bytes) -> ChangeEvent:
        """An event of `stream`, given as BSON; there is nothing to commit.

        Raises:
            ValueError: `event` is no document.
        """
    @property
    def event_id(self) -> str:
        """Digest of the resume token, 32 hex digits: the same in every replay, on every machine."""
    @property
    def resume_token(self) -> dict[str, Any]:
        """The event's `_id`."""
    @property
    def operation_type(self) -> str | None:
        """`insert`, `update`, `replace`, `delete`, `drop`, `rename`, `invalidate` and the like.

        `None` where the source's `pipeline` removed it.
        """
    @property
    def database(self) -> str | None:
        """The database's name."""
    @property
    def collection(self) -> str | None:
        """The collection's name; `None` for events of a whole database."""
    @property
    def cluster_time(self) -> Timestamp | None:
        """The oplog's time of the change, seconds and ordinal; shared within a transaction."""
    @property
    def wall_time(self) -> datetime | None:
        """The server's clock at the change, in UTC; from MongoDB 6.0 on."""
    @property
    def document_key(self) -> dict[str, Any] | None:
        """`_id`, and the shard key where there is one; `None` in drop, rename, invalidate."""
    @property
    def full_document(self) -> dict[str, Any] | None:
        """The document after the change; `None` for a delete, and where the server had none."""
    @property
    def full_document_before_change(self) -> dict[str, Any] | None:
        """The document before the change, with `full_document_before_change` and pre-images."""
    @property
    def documents_omitted(self) -> bool:
        """Whether it was read without its documents: MongoDB cannot return it whole."""
    @property
    def update_description(self) -> dict[str, Any] | None:
        """`updatedFields`, `removedFields`, `truncatedArrays` of an update."""
