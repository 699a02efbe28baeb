"""The Rust core: everything that moves data.

This stub is also its documentation; the re-exports in `mongo_gcp_stream` are the public names.
"""

from types import TracebackType
from typing import Literal, final

from typing_extensions import Self

__all__ = [
    "Emulator",
    "EmulatorStatistics",
    "Failure",
    "RunReport",
    "Runner",
    "__version__",
    "to_extended_json",
]

__version__: str

def to_extended_json(bson: bytes, mode: Literal["relaxed", "canonical"] = "relaxed") -> bytes:
    """Turn one BSON document into MongoDB Extended JSON v2, as UTF-8 without line breaks.

    This is the format of the messages' data. Keys keep their order, duplicates included, and no
    object is made on the way: it costs one or two microseconds for a kilobyte.

    Args:
        bson: A document as the server sends it, such as `bson.encode({...})` gives.
        mode: `relaxed` writes numbers and dates as JSON readers expect them, and loses the
            difference between int32, int64 and whole doubles; `canonical` keeps every type.

    Raises:
        ValueError: `bson` is not a valid document (the text names the field, never a value), or
            `mode` is neither of the two.

    Example:
        >>> import bson
        >>> to_extended_json(bson.encode({"n": 1}))
        b'{"n":1}'
        >>> to_extended_json(bson.encode({"n": 1}), "canonical")
        b'{"n":{"$numberInt":"1"}}'
    """

@final
class Failure:
    """Why one stream ended before it should."""

    @property
    def stream(self) -> str:
        """Name of the stream: `"<connection id>.<source name>"`."""
    @property
    def message(self) -> str:
        """What happened, without a document's value, a token or a password."""
    @property
    def hint(self) -> str:
        """What can be done about it, in one sentence."""

@final
class RunReport:
    """How a run ended."""

    @property
    def exit_code(self) -> int:
        """The exit code that the command line gives for it.

        0 every stream ended as it should; 1 at least one failed; 3 the drain missed
        `shutdown.drain_timeout` with events unpublished; 4 `timeout_ms` passed first.
        """
    @property
    def failures(self) -> list[Failure]:
        """The streams that failed, in no particular order."""

@final
class Runner:
    """All streams of a configuration file, from MongoDB to Pub/Sub.

    Example:
        >>> runner = Runner("config.yaml")
        >>> report = runner.run(until_caught_up=True)
        >>> report.exit_code
        0
    """

    def __new__(cls, config_path: str) -> Self:
        """Load and check a configuration; nothing is connected yet.

        Args:
            config_path: Path of a YAML file. A `.env` beside it is read, `${VAR}` is replaced, and
                `MONGO_GCP_STREAM__…` variables go before what the file says.

        Raises:
            ConfigError: The file cannot be read, or a key is wrong; `path` names it.
        """
    @property
    def warnings(self) -> list[str]:
        """What is accepted but has no effect yet, one sentence for each key."""
    def run(
        self,
        *,
        until_caught_up: bool = False,
        timeout_ms: int | None = None,
        accept_lane_change: bool = False,
    ) -> RunReport:
        """Stream until stopped, and return when everything is published and stored.

        Blocks without the GIL. For as long as it runs, SIGINT and SIGTERM drain: reading stops,
        what was read is published, positions are stored. A second signal ends the process at once
        with 130. Python's own handler of SIGINT, where one is installed, is called as well.

        Args:
            until_caught_up: Return once every stream has passed the server's time at the start.
            timeout_ms: Drain after this many milliseconds at the latest; `None` waits for ever.
            accept_lane_change: Go on from a checkpoint that was written with another number of
                lanes. Events that were read but not stored at the change may then be delivered out
                of order.

        A stream that fails makes the others drain; it is in the report and raises nothing. A
        runner that was stopped, or of which a stream has failed, does not run again: make another.

        Raises:
            OSError: The threads of the core cannot be started.
        """
    def stop(self) -> None:
        """Drain, as SIGTERM does. Returns at once; may be called from any thread and again."""
    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counters of every stream by its name; may be called from any thread.

        The counters are `read` (events), `bytes` (of BSON read), `published` (events acknowledged
        by Pub/Sub), `retries` (attempts after the first), `requests` (Publish requests
        acknowledged) and `cluster_time` (of the last position seen, in seconds since the epoch; 0
        before the first).
        """

@final
class EmulatorStatistics:
    """What happened in an :class:`Emulator` since its start."""

    @property
    def attempts(self) -> int:
        """Publish requests that arrived."""
    @property
    def refused(self) -> int:
        """Publish requests refused for a limit, a missing topic, or for want of memory."""
    @property
    def faults(self) -> int:
        """Publish requests that suffered a fault."""
    @property
    def requests(self) -> int:
        """Publish requests that were committed."""
    @property
    def messages(self) -> int:
        """Messages committed, with or without a subscription to keep them."""
    @property
    def bytes(self) -> int:
        """Encoded size of the committed requests."""
    @property
    def delivered(self) -> int:
        """Messages delivered, by every subscription and each time."""
    @property
    def acknowledged(self) -> int:
        """Messages acknowledged, by every subscription."""
    @property
    def kept_bytes(self) -> int:
        """Bytes that kept messages take now."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Emulator:
    """A Pub/Sub in this process.

    It speaks Pub/Sub's gRPC protocol on a local port, for demos and tests: topics, subscriptions
    with or without order, Publish with the service's limits, Pull, StreamingPull, deadlines,
    redelivery, dead letters. It has no push, filters, schemas, snapshots or exactly-once delivery,
    and says so. Messages are kept in memory until they are acknowledged, and none after
    :meth:`close`.

    Example:
        >>> with Emulator() as pubsub:
        ...     pubsub.create_topic("projects/demo/topics/orders")
        ...     pubsub.create_subscription(
        ...         "projects/demo/subscriptions/all", "projects/demo/topics/orders"
        ...     )
        ...     os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.address
    """

    def __new__(cls, port: int = 0, *, max_bytes: int = ...) -> Self:
        """Start listening on 127.0.0.1.

        Args:
            port: Port to listen on; 0 picks a free one.
            max_bytes: What messages may take in memory, each its encoded size and 512 bytes;
                256,000,000 by default. Then Publish answers `RESOURCE_EXHAUSTED` until some are
                acknowledged.

        Raises:
            OSError: The port cannot be opened.
        """
    @property
    def address(self) -> str:
        """Where it listens, as `PUBSUB_EMULATOR_HOST` wants it: `127.0.0.1:8085`."""
    def create_topic(self, topic: str) -> None:
        """Create a topic; nothing happens when it exists.

        Args:
            topic: Full name, `projects/<project>/topics/<topic>`.
        """
    def create_subscription(self, subscription: str, topic: str, ordered: bool = True) -> None:
        """Create a subscription that gets what is published from now on.

        Args:
            subscription: Full name, `projects/<project>/subscriptions/<subscription>`.
            topic: Full name of its topic.
            ordered: Deliver messages of one ordering key in the order of their publication.
        """
    def pull(
        self, subscription: str, max_messages: int = 1000, wait_ms: int = 1000
    ) -> list[tuple[bytes, dict[str, str], str, float]]:
        """Take messages off a subscription; they are acknowledged.

        Args:
            subscription: Full name of the subscription.
            max_messages: Most messages to take.
            wait_ms: How long to wait for the first message, in milliseconds.

        Returns:
            For each message its data, its attributes, its ordering key, and when it was published,
            in milliseconds since the epoch.
        """
    def fault(
        self,
        action: Literal["status", "delay", "lose_response"],
        *,
        topic: str | None = None,
        ordering_key: str | None = None,
        nth: int = 1,
        times: int = 1,
        code: str = "UNAVAILABLE",
        delay_ms: int = 0,
    ) -> None:
        """Let something go wrong with Publish requests from now on.

        Of several faults that concern a request, the one that was set first and has times left
        strikes. A request that is refused anyway is no occasion for any.

        Args:
            action: `status` answers with `code` and commits nothing; `delay` commits after
                `delay_ms`, even if the caller is gone by then; `lose_response` commits, then
                answers with `code`.
            topic: Full name of the topic; any by default.
            ordering_key: The request's ordering key; any by default.
            nth: The first such request that it happens to, counted from 1.
            times: How often it happens; -1 until :meth:`clear_faults`.
            code: Name of a gRPC code.
            delay_ms: How long the answer takes, in milliseconds, or until the faults are cleared.

        Raises:
            ValueError: `action` or `code` is none.

        Example:
            >>> with Emulator() as pubsub:
            ...     pubsub.fault("lose_response", ordering_key="orders/7", nth=3)
        """
    def clear_faults(self) -> None:
        """Forget all faults, and end the delays under way."""
    def statistics(self) -> EmulatorStatistics:
        """Return the counters."""
    def wait(
        self,
        *,
        attempts: int = 0,
        refused: int = 0,
        faults: int = 0,
        requests: int = 0,
        messages: int = 0,
        delivered: int = 0,
        acknowledged: int = 0,
        timeout_ms: int = 30_000,
    ) -> EmulatorStatistics:
        """Return the counters as soon as each one that is named is at least as large.

        Raises:
            TimeoutError: They were not within `timeout_ms`; the text shows how far they came.
        """
    def close(self) -> None:
        """Stop listening and forget everything; may be called repeatedly."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
