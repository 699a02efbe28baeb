"""Runs: all streams of a configuration."""

from typing import Literal, final

from typing_extensions import Self

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
        `shutdown.drain_timeout` with events unpublished; 4 a run `until_caught_up` was ended, by
        `timeout_ms`, a signal or `stop`, before every stream had caught up.
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
        """Changes that Pub/Sub has acknowledged.

        Where Python reads the stream: those that were committed.
        """
    @property
    def last_processed(self) -> float | None:
        """When one was last processed, in seconds since the epoch; `None` before the first."""
    @property
    def invalid(self) -> int:
        """Events whose document breaks a rule of `schemas`, whatever became of them."""
    @property
    def skipped(self) -> int:
        """Events that made no message, as the configuration says; they count as processed."""
    @property
    def dead_lettered(self) -> int:
        """Dead letters that are safe; their changes count as processed."""
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
