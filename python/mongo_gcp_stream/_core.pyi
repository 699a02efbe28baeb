"""The Rust core: everything that moves data.

This stub is also its documentation; the re-exports in `mongo_gcp_stream` are the public names.
"""

from types import TracebackType
from typing import Literal, final

from typing_extensions import Self

__all__ = [
    "Emulator",
    "Failure",
    "RunReport",
    "Runner",
    "__version__",
    "log_format",
    "to_extended_json",
]

__version__: str

def log_format() -> Literal["text", "json"]:
    """Return the form of this process's log lines.

    It is `logging.format` of the first configuration that a :class:`Runner` was made of; `"text"`
    before.
    """

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
        log_statistics: bool = True,
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
            log_statistics: Log the counters of each stream every `monitoring.report_interval`.
                Who shows them in another way says `False`; it holds for the whole process.

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
class Emulator:
    """A Pub/Sub in this process: topics, ordered subscriptions, publish, pull, acknowledge.

    It speaks Pub/Sub's gRPC protocol on a local port, for demos and tests; it keeps everything in
    memory until it is pulled, and nothing after :meth:`close`.

    Example:
        >>> with Emulator() as pubsub:
        ...     pubsub.create_topic("projects/demo/topics/orders")
        ...     pubsub.create_subscription(
        ...         "projects/demo/subscriptions/all", "projects/demo/topics/orders"
        ...     )
        ...     os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.address
    """

    def __new__(cls, port: int = 0) -> Self:
        """Start listening on 127.0.0.1.

        Args:
            port: Port to listen on; 0 picks a free one.

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
