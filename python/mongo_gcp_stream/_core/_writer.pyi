"""Transform and writer, for a runner that moves what goes between them."""

from collections.abc import Mapping, Sequence
from typing import final

from mongo_gcp_stream._core._batch import ChangeBatch
from typing_extensions import Self

@final
class Transform:
    """What turns the events of one stream into messages, as its configuration says."""

    def __new__(cls, config: str, stream: str) -> Self:
        """`config` is JSON text of a mapping with `gcp`, `pubsub` and `checkpoint`.

        Raises:
            ConfigError: It is wrong, at `path`.
        """
    def apply(self, batch: ChangeBatch) -> MessageBatch:
        """The messages for the events of a batch, made without the GIL.

        Raises:
            MongoGcpStreamError: An event cannot be turned into a message, and there is no place for
                dead letters.
        """

@final
class MessageBatch:
    """Messages as they go out, in stream order. It can be pickled."""

    def __len__(self) -> int: ...
    @property
    def stream(self) -> str:
        """The stream that they are of, `<connection id>.<source name>`."""
    @property
    def invalid(self) -> int:
        """How many of their events broke a rule of `schemas`."""
    @property
    def skipped(self) -> int:
        """How many events made no message, as the configuration says."""
    @property
    def letters(self) -> int:
        """How many of them are dead letters."""
    def split(self) -> tuple[MessageBatch, list[tuple[bytes, dict[str, str]]]]:
        """The messages for topics, and data and attributes of the dead letters."""
    @staticmethod
    def plain(
        stream: str, topic: str, messages: Sequence[tuple[bytes, Mapping[str, str], str]]
    ) -> MessageBatch:
        """Messages made of no event, for a topic: data, attributes and ordering key of each.

        What Pub/Sub does not take is found out when it is published.
        """
    @property
    def nbytes(self) -> int:
        """Size of all messages in bytes."""
    def to_bytes(self) -> bytes:
        """All of it as one BSON document, with a version."""
    @staticmethod
    def from_bytes(data: bytes) -> MessageBatch:
        """What `to_bytes` wrote.

        Raises:
            ValueError: It did not, or as another version.
        """

@final
class Writer:
    """Publishes the messages of one stream, in order for each lane."""

    def __new__(cls, config: str, stream: str, *, keep_letters: bool = False) -> Self:
        """`config` as for `Transform`; connected with the first message.

        With `keep_letters` dead letters wait for `letters()`, wherever `config` would send them.

        Raises:
            ConfigError: It is wrong, at `path`.
            MongoGcpStreamError: There are no credentials.
        """
    def publish(self, messages: MessageBatch, topic: str | None = None) -> None:
        """Hand messages over, to `topic` instead of the topics that they were made for.

        Waits while too many are on their way.

        Raises:
            MongoGcpStreamError: Why it has given up; from then on it takes nothing.
        """
    def flush(self) -> None:
        """Wait until everything handed over is published, or kept as a dead letter.

        Raises:
            MongoGcpStreamError: Why it has given up: some of it may be published.
        """
    def letters(self) -> list[tuple[bytes, dict[str, str]]]:
        """Data and attributes of the dead letters since the last call; of all, after a flush."""
    def counts(self) -> tuple[int, int, int]:
        """Requests acknowledged, attempts after the first, and dead letters kept so far."""
