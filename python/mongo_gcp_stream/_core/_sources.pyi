"""Streams that a runner reads from positions which it keeps: what `beam` is made of."""

from typing import final

from mongo_gcp_stream._core._batch import ChangeBatch

@final
class Sources:
    """The streams of one configuration, none of them open.

    In a child process that was forked from the one that made it all raise `RuntimeError`.
    """

    def __new__(cls, config: str, *, follow: bool = False) -> Sources:
        """Check a configuration; nothing is connected.

        Args:
            config: JSON text of a mapping as in a configuration file, with no variables left.
            follow: Whether checkpoints can follow the streams, where the section `checkpoint` says.

        Raises:
            ConfigError: It is wrong, at `path`, or has no `checkpoint` and needs one.
        """
    def open(
        self,
        stream: str,
        start: bytes | None = None,
        until: tuple[int, int] | None = None,
        resume: str | None = None,
    ) -> Slices:
        """Begin to read a stream, and return at once.

        Args:
            stream: `<connection id>.<source name>`.
            start: A position of `Slice`; by default the checkpoint, or else where `startup` says.
            until: The last cluster time that is wanted, seconds and ordinal; for ever by default.

            resume: `RESUME_OR_NEW`, `RESUME_OR_FAIL` or `FAIL_IF_EXISTS`: a checkpoint follows the
                stream, and without `start` it begins there; needs `follow`.

        Raises:
            ConfigError: There is no such stream, or no checkpoint to follow it.
            ValueError: `start` is no position.
        """
    def close(self) -> None:
        """Close the connections, in a second at the most."""

@final
class Slices:
    """A stream that is read ahead, by `flow.bytes_in_flight` and one reply of the server."""

    def next(self, most: int, timeout_ms: int) -> Slice | None:
        """The next slice of up to `most` events; `None` where none comes in `timeout_ms`.

        Waits without the GIL. The first slice has no events: it tells the position that the stream
        opened at. An outage is waited out: until then there is none.

        Raises:
            MongoGcpStreamError: What ended the stream, with its `hint`.
        """
    def keep(self, position: bytes, *, moved: bool, last: bool = False) -> bool:
        """Let the checkpoint follow to a position that the runner has committed.

        At most every `checkpoint.interval`, or every `checkpoint.idle_interval` where no event
        `moved` it, at once where it is the `last`, and never backwards. True where it was stored;
        False without a checkpoint.

        Raises:
            MongoGcpStreamError: It could not be stored, or another worker moves it; the next call
                tries again.
        """

@final
class Slice:
    """Events that share the second of their cluster time, or none and a position that has moved."""

    @property
    def batch(self) -> ChangeBatch | None:
        """The events; `None` where there are none. There is nothing to commit."""
    @property
    def position(self) -> bytes:
        """The position after them: a BSON document, `{token: …}` or `{operation_time: …}`."""
    @property
    def time(self) -> tuple[int, int] | None:
        """The cluster time that nothing to come lies before: seconds and ordinal."""
    @property
    def catching_up(self) -> bool:
        """The server's reply was as full as it can be: there is more."""
    @property
    def done(self) -> bool:
        """`until` is reached, and nothing comes any more."""

def position_time(position: bytes) -> tuple[int, int] | None:
    """The cluster time of a position, seconds and ordinal; `None` where its token does not tell.

    Raises:
        ValueError: It is no position.
    """

def position_at(seconds: int) -> bytes:
    """The position before everything that has this second, since the epoch, or a later one."""
