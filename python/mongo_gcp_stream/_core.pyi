"""The Rust core: everything that moves data.

This stub is also its documentation; the re-exports in `mongo_gcp_stream` are the public names.
"""

from types import TracebackType
from typing import Literal, final

from typing_extensions import Self

__all__ = [
    "EffectiveValue",
    "Emulator",
    "EmulatorStatistics",
    "Failure",
    "Finding",
    "RunReport",
    "Runner",
    "Step",
    "StoredPosition",
    "StreamStatistics",
    "Validation",
    "__version__",
    "check",
    "log_format",
    "position_clear",
    "position_set",
    "position_show",
    "setup",
    "to_extended_json",
    "validate",
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

def validate(config_path: str) -> Validation:
    """Load a configuration, refuse what `run` would refuse, and say where each value came from.

    Nothing is connected.

    Args:
        config_path: Path of a YAML file, read as :class:`Runner` reads it.

    Raises:
        ConfigError: The file cannot be read, or a key is wrong; `path` names it.
    """

def check(config_path: str, *, timeout_ms: int = 30_000) -> list[Finding]:
    """Connect to everything that a run would connect to, and say what is missing.

    Nothing is changed: change streams are opened and not read, no position moves, no message is
    published. Blocks without the GIL.

    Args:
        config_path: Path of a YAML file, read as :class:`Runner` reads it.
        timeout_ms: What is not answered after this many milliseconds is an error.

    Returns:
        The findings, those of one subject together: connections first, then topics.

    Raises:
        ConfigError: The file cannot be read, or a key is wrong; `path` names it.
        OSError: The threads of the core cannot be started.
    """

def setup(config_path: str, *, dry_run: bool = False, timeout_ms: int = 30_000) -> list[Step]:
    """Create the topics and subscriptions of a configuration; a second time does nothing.

    What exists gets the settings that the configuration names; nothing is deleted. Blocks without
    the GIL.

    Args:
        config_path: Path of a YAML file, read as :class:`Runner` reads it; it needs `gcp` and
            `pubsub`.
        dry_run: Connect to nothing and return the `gcloud` commands that make everything.
        timeout_ms: What is not done after this many milliseconds has failed.

    Returns:
        A step for each topic and subscription; those that failed do not keep the others from being
        made.

    Raises:
        ConfigError: The file cannot be read, or a key is wrong; `path` names it.
        MongoGcpStreamError: There are no usable Google credentials.
        OSError: The threads of the core cannot be started.
    """

@final
class EffectiveValue:
    """One key of a configuration, and where its value came from."""

    @property
    def path(self) -> str:
        """Dotted path, such as `pubsub.lanes`."""
    @property
    def value(self) -> str:
        """The value as JSON; secrets are `***`, and `null` is a key without value and default."""
    @property
    def source(self) -> str:
        """`file`, `override` (a `MONGO_GCP_STREAM__…` variable) or `default`."""
    @property
    def line(self) -> int | None:
        """Line of the file, from 1 on; `None` where it is not from the file."""
    @property
    def variables(self) -> dict[str, str]:
        """Variables in it by name: `environment`, `.env`, or `default` (after `:-`)."""

@final
class Validation:
    """What a configuration means."""

    @property
    def streams(self) -> list[str]:
        """Names of the streams: `"<connection id>.<source name>"`."""
    @property
    def warnings(self) -> list[str]:
        """What is accepted but has no effect yet, one sentence for each key."""
    @property
    def values(self) -> list[EffectiveValue]:
        """Every key, in the order of the documentation."""

@final
class Finding:
    """One thing that :func:`check` looked at."""

    @property
    def severity(self) -> str:
        """`ok`, `note` (nothing has to be done), `warning`, `error`, or `skipped`.

        A check is skipped where another finding keeps it from being made; `what` then says why.
        """
    @property
    def subject(self) -> str:
        """What was looked at: `connection main`, `topic shop-changes`."""
    @property
    def check(self) -> str:
        """Which check, a word that stays the same.

        For a connection `connect`, `version`, `topology`, `privileges`, `position`, `stream`,
        `oplog`, `images`, `connections`, `atlas`; for a topic `topic`, `publish`, `subscriptions`;
        for Pub/Sub as a whole `credentials`, `endpoint`; `timeout` for what took too long.
        """
    @property
    def what(self) -> str:
        """What was found, in one sentence, without a document's value, a token or a password."""
    @property
    def fix(self) -> str:
        """A command or a sentence; empty where there is nothing to do."""

@final
class Step:
    """What :func:`setup` did about one topic or subscription."""

    @property
    def action(self) -> str:
        """`planned` (dry run), `created`, `updated`, `unchanged`, `note`, `conflict` or `failed`.

        A conflict is a difference in what is fixed when a subscription is created.
        """
    @property
    def resource(self) -> str:
        """`topic <name>` or `subscription <name>`."""
    @property
    def what(self) -> str:
        """In one sentence; empty where `action` says it all."""
    @property
    def command(self) -> str:
        """The `gcloud` command that does the same, or what is to be done by hand."""

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
class StreamStatistics:
    """What one stream tells about itself at one moment.

    It counts from the start of the process; a restart of the stream goes on counting.
    """

    @property
    def connection_id(self) -> str:
        """Key of the connection below `mongodb.connections`."""
    @property
    def source_name(self) -> str:
        """Key of the source below `mongodb.connections.<id>.sources`."""
    @property
    def state(
        self,
    ) -> Literal["starting", "streaming", "backing_off", "paused", "failed", "stopped"]:
        """What it is doing.

        `starting` connects and opens; `streaming` reads and publishes, or waits for the next
        change; `backing_off` waits after a failure and tries again; `paused` has drained and waits
        to be resumed; `failed` has ended in an error; `stopped` was stopped or has caught up.
        """
    @property
    def active(self) -> bool:
        """Whether it is streaming."""
    @property
    def retry_count(self) -> int:
        """Failures in a row; 0 while it is streaming."""
    @property
    def last_error(self) -> str | None:
        """What failed last, without a document's value, a token or a password."""
    @property
    def last_error_time(self) -> float | None:
        """When that was, in seconds since the epoch."""
    @property
    def last_healthy(self) -> float | None:
        """When it was last in order, in seconds since the epoch; `None` before the first time.

        While it is streaming: when the server last replied, which an idle one does every
        `max_await_time_ms`.
        """
    @property
    def total_errors(self) -> int:
        """All failures, each counted once, those that were waited out included."""
    @property
    def processed_changes(self) -> int:
        """Changes that Pub/Sub has acknowledged."""
    @property
    def read(self) -> int:
        """Changes read; those that a restart reads again count again."""
    @property
    def bytes(self) -> int:
        """Bytes of BSON read."""
    @property
    def requests(self) -> int:
        """Publish requests acknowledged."""
    @property
    def retries(self) -> int:
        """Attempts after the first, of reads and publishes."""
    @property
    def events_per_second(self) -> float:
        """Changes acknowledged a second, over the last ten seconds; 0 when idle."""
    @property
    def bytes_per_second(self) -> float:
        """Bytes of BSON read a second, over the last ten seconds; 0 when idle."""
    @property
    def in_flight(self) -> int:
        """Changes read and not acknowledged."""
    @property
    def lag(self) -> float | None:
        """How far what is published lies behind the cluster, in seconds.

        From the cluster time of the position to the server's operation time, both of the server's
        clock, which counts whole seconds here; after the last reply it grows with the clock of this
        machine. An idle server writes a no-op every ten seconds, so that an idle stream may show as
        much. `None` before the first reply.
        """
    @property
    def position_age(self) -> float | None:
        """Seconds since the position was last stored; `None` before the first time.

        A position that only idle replies move is stored every `checkpoint.idle_interval`.
        """
    @property
    def oplog_headroom(self) -> float | None:
        """Seconds from the oldest entry of the oplog to the position: at 0 the position is lost.

        Looked up every 30 seconds. `None` where the user may not read `local`, and behind a mongos.
        """
    @property
    def transitions(self) -> list[tuple[float, str]]:
        """The last 20 changes of `state`, oldest first: seconds since the epoch, and to what."""

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
    @property
    def log_format(self) -> Literal["text", "json"]:
        """What `logging.format` says: lines for people, or a JSON object a line."""
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
            until_caught_up: Return once every stream has passed the server's time at the start or
                has failed. Without `error_handling.max_retries`, a stream fails for good after
                three restarts in a row; otherwise it is started again for ever.
            timeout_ms: Drain after this many milliseconds at the latest; `None` waits for ever.
            accept_lane_change: Go on from a checkpoint that was written with another number of
                lanes. Events that were read but not stored at the change may then be delivered out
                of order.
            log_statistics: Log the counters of each stream every `monitoring.report_interval`.
                Who shows them in another way says `False`; it holds for the whole process.

        A stream that fails is started again as `error_handling` says, from its stored position, and
        leaves the others alone; what a restart would meet again (a message that Pub/Sub refuses, a
        position that the oplog no longer holds, a wrong password at the start) fails at once. The
        run ends when all streams have ended; those that failed are in the report and raise nothing.
        A runner that was stopped does not run again: make another.

        Raises:
            OSError: The threads of the core cannot be started.
        """
    def stop(self) -> None:
        """Drain, as SIGTERM does. Returns at once; may be called from any thread and again."""
    def statistics(self) -> dict[str, StreamStatistics]:
        """Return the statistics of every stream now, by its name; may be called from any thread."""

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
