"""Dead letters: listed, and delivered after all."""

from typing import Literal, final

@final
class DeadLetter:
    """What could not be delivered; nothing of a document is in it."""

    @property
    def stream(self) -> str:
        """Name of the stream: `"<connection id>.<source name>"`."""
    @property
    def stage(self) -> str:
        """How far its event had come: `validate`, `transform` or `publish`."""
    @property
    def reason(self) -> str:
        """Why it was not delivered: a word for the kind, and a text."""
    @property
    def event_id(self) -> str | None:
        """The event's id; `None` where its message had no such attribute."""
    @property
    def namespace(self) -> str | None:
        """`database.collection`."""
    @property
    def operation(self) -> str | None:
        """The operation type, such as `insert`."""
    @property
    def time(self) -> str | None:
        """Cluster time of the event in whole seconds, RFC 3339."""

@final
class Redriven:
    """A dead letter and what became of it."""

    @property
    def letter(self) -> DeadLetter:
        """The dead letter."""
    @property
    def outcome(self) -> Literal["redriven", "stored", "skipped", "left"]:
        """What became of it.

        `redriven`: its event was read again and delivered as the configuration says now; `stored`:
        the oplog no longer holds it, the message was delivered as it was kept; `skipped`: its event
        makes no message any more; `left`: it is still where it was.
        """
    @property
    def why(self) -> str:
        """Why it was left; empty otherwise."""

def dead_letter_list(
    config_path: str,
    *,
    file: str | None = None,
    subscription: str | None = None,
    stream: str | None = None,
    event_id: str | None = None,
    limit: int = 100,
) -> list[DeadLetter]:
    """List dead letters; they stay where they are.

    Args:
        config_path: Path of the YAML file.
        file: A file with dead letters; by default the one that the configuration names.
        subscription: A subscription with dead letters, by its name, instead of a file.
        stream: Only those of this stream.
        event_id: Only that of this event.
        limit: No more than this, the oldest first.

    Raises:
        ConfigError: The configuration is wrong, or names no file and none is given.
        MongoGcpStreamError: The file or the subscription cannot be read.
    """

def dead_letter_redrive(
    config_path: str,
    *,
    file: str | None = None,
    subscription: str | None = None,
    stream: str | None = None,
    event_id: str | None = None,
    limit: int = 100,
    keep: bool = False,
    timeout_ms: int = 30_000,
) -> list[Redriven]:
    """Deliver dead letters, and take out those that are delivered.

    Args:
        config_path: Path of the YAML file.
        file: A file with dead letters; by default the one that the configuration names.
        subscription: A subscription with dead letters, by its name, instead of a file.
        stream: Only those of this stream.
        event_id: Only that of this event.
        limit: No more than this, the oldest first.
        keep: Leave also those that are delivered.
        timeout_ms: How long one of them may take.

    Raises:
        ConfigError: The configuration is wrong, or names no file and none is given.
        MongoGcpStreamError: MongoDB, Pub/Sub or the file is out of reach; what was delivered before
            that is taken out.
    """
