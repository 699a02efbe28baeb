"""Reading streams from Python: what `mongo_gcp_stream.manager` is made of."""

from typing import final

from mongo_gcp_stream._core._batch import ChangeBatch
from mongo_gcp_stream._core._bridge import Bridge, Call
from mongo_gcp_stream._core._runner import Failure, StreamStatistics

@final
class Reading:
    """The streams of one configuration.

    A method that takes `bridge` and `call` starts something: its outcome comes out of the bridge as
    that of `call`. The method whose name begins with `wait_` blocks instead, without the GIL.

    All raise `RuntimeError` in a child process that was forked from the one with the streams, and
    `ConfigError` for a stream that does not exist.
    """

    def __new__(cls, config: str) -> Reading:
        """`config` is JSON text of a mapping as in a configuration file, with no variables left.

        Raises:
            ConfigError: It is wrong, at `path`.
        """
    @property
    def drain_timeout(self) -> float:
        """`shutdown.drain_timeout` in seconds."""
    @property
    def max_inactivity(self) -> float:
        """`monitoring.max_inactivity_seconds`."""
    def start(self) -> None:
        """Starts every stream that has not been started, and returns.

        Raises:
            RuntimeError: It was closed.
        """
    def opened(self, bridge: Bridge, call: int) -> Call:
        """Until each stream is open or has failed at its first attempt."""
    def wait_opened(self) -> None:
        """`opened`, for a thread without a loop."""
    def close(self, bridge: Bridge, call: int) -> Call:
        """Stops all streams, stores what was committed and closes the connections."""
    def wait_closed(self) -> None:
        """`close`, for a thread without a loop."""
    def add_source(self, config: str, stream: str) -> None:
        """Adds the stream of this name as `config` has it; it starts with the next `start`."""
    def remove(self, bridge: Bridge, call: int, stream: str) -> Call:
        """Stops a stream and forgets it; gives False where there is none of this name."""
    def wait_removed(self, stream: str) -> bool:
        """`remove`, for a thread without a loop."""
    def consumer(self, stream: str) -> Consumer | None:
        """The right to take the batches of a stream; `None` while somebody else has it."""
    def failure(self, stream: str) -> Failure | None:
        """Why a stream ended, if by an error."""
    def refuse(self, stream: str, message: str) -> None:
        """Ends a stream as failed, for a reason that holds no value."""
    def interrupted(self, stream: str, message: str | None) -> None:
        """Notes that an event was not taken and is tried again, or (`None`) that it goes on."""
    def backoff(self) -> RetryDelays:
        """The waits that `error_handling` asks for."""
    def pause(self, stream: str, paused: bool) -> None:
        """Pauses a stream, or lets it go on."""
    def at_rest(self, bridge: Bridge, call: int, stream: str) -> Call:
        """Until a stream that is to pause has drained or ended, is resumed, or is gone."""
    def wait_at_rest(self, stream: str, timeout_ms: int | None) -> bool:
        """The same; False when the time is over."""
    def statistics(self) -> dict[str, StreamStatistics]:
        """The statistics of each stream now, by its name."""
    def changed(self, bridge: Bridge, call: int, seen: dict[str, str]) -> Call:
        """Until the states differ from `seen`; gives those of all streams, by their names."""

@final
class RetryDelays:
    """The waits between the attempts at one event."""

    def next(self) -> float | None:
        """Seconds to wait before the next attempt; `None` once `max_retries` is used up."""

@final
class Consumer:
    """The one who takes the batches of a stream."""

    def ready(self, bridge: Bridge, call: int) -> Call:
        """Until a batch can be taken (True), or none comes any more (False)."""
    def wait_ready(self, timeout_ms: int | None) -> bool | None:
        """The same; `None` when the time is over."""
    def take(self) -> ChangeBatch | None:
        """The next batch, if there is one."""
    def release(self) -> None:
        """Gives the right back; what is not committed comes again to the next consumer."""
