"""Stored positions: shown, set and cleared."""

from typing import final

@final
class StoredPosition:
    """A checkpoint: where a stream was when its position was last stored."""

    @property
    def stream(self) -> str:
        """Name of the stream: `"<connection id>.<source name>"`."""
    @property
    def scope(self) -> str:
        """What it captures, such as `collection shop.orders`."""
    @property
    def replica_set(self) -> str:
        """Name of the replica set, `sharded` behind a mongos."""
    @property
    def ordering(self) -> str:
        """How its messages were ordered, such as `lanes 64 xxh3-64`."""
    @property
    def epoch(self) -> int:
        """Grows by one with each start of a run and each `position_set`; begins with 1."""
    @property
    def sequence(self) -> int:
        """Number of the epoch's events that lie before the position."""
    @property
    def time(self) -> str | None:
        """Cluster time of the position in whole seconds, RFC 3339; `None` where it is unknown."""
    @property
    def stored_at(self) -> str | None:
        """When it was stored, RFC 3339, by the clock of the machine that stored it."""
    @property
    def token(self) -> str | None:
        """The resume token's `_data`; `None` for a position that is a time.

        It holds the document's `_id` in plain hex: not for logs.
        """

def position_show(config_path: str, stream: str | None = None) -> dict[str, StoredPosition | None]:
    """Look up the stored positions of one stream or of all, also while they run.

    Args:
        config_path: Path of the YAML file.
        stream: Name of a stream; `None` for every stream of the file.

    Returns:
        By the stream's name its checkpoint, `None` where there is none.

    Raises:
        ConfigError: The file is wrong, has no such stream, or no store that lasts.
        MongoGcpStreamError: The store cannot be reached, or what is there is damaged.
    """

def position_set(config_path: str, stream: str, start: str) -> StoredPosition:
    """Set where a stream goes on with its next run, in a new epoch.

    The stream is opened there once, so that what is stored is concrete and can be used. A process
    that runs the stream meanwhile cannot store its position any more and ends with a conflict.

    Args:
        config_path: Path of the YAML file.
        stream: Name of the stream.
        start: `earliest`, `latest`, a time in RFC 3339, or `token:<hex>`.

    Raises:
        ValueError: `start` is none of these.
        ConfigError: The file is wrong, has no such stream, or no store that lasts.
        MongoGcpStreamError: The stream does not open there, the store cannot be reached, or, with
            `store: file`, a process is running the stream.
    """

def position_clear(config_path: str, stream: str) -> bool:
    """Forget the position of a stream: its next run begins at its `startup`.

    Args:
        config_path: Path of the YAML file.
        stream: Name of the stream.

    Returns:
        Whether there was one.

    Raises:
        ConfigError: The file is wrong, has no such stream, or no store that lasts.
        MongoGcpStreamError: The store cannot be reached, or, with `store: file`, a process is
            running the stream.
    """
