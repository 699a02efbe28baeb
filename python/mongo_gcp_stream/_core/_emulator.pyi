"""The embedded Pub/Sub."""

from types import TracebackType
from typing import Literal, final

from typing_extensions import Self

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
