"""Messages of one's own, published with the core; what `PubSubSink` is made of."""

from collections.abc import Sequence
from typing import Literal, final

from mongo_gcp_stream._core._bridge import Bridge, Call
from typing_extensions import Self

@final
class Unpublished:
    """Why a message was not published."""

    @property
    def kind(
        self,
    ) -> Literal[
        "rejected", "too_large", "topic_missing", "auth", "timeout", "not_sent", "unavailable"
    ]:
        """What kind of trouble.

        `timeout`: it may or may not have been published. `not_sent`: another message of the call
        failed, and `fail_fast` was asked for. `auth`: no credentials, or without the permission.
        """
    @property
    def reason(self) -> str:
        """What happened: topic, gRPC code, sizes; never a value of the message."""
    @property
    def retryable(self) -> bool:
        """Whether publishing the same message again may help."""

@final
class Publisher:
    """Publishes to the topics that it was made for, over one connection.

    Messages of one ordering key are published in the order of the calls, at most one request of a
    key in flight, keys side by side, eight requests at a time for each topic. Failures that pass
    are waited out, up to the call's timeout. A message that is refused, or of more than 10 MB,
    fails alone, and its key goes on.

    It may be used from several threads. In a child that was forked after its making it raises
    RuntimeError.
    """

    def __new__(
        cls,
        topics: dict[str, int],
        *,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> Self:
        """Prepare the connection, which is made with the first request.

        It goes to `PUBSUB_EMULATOR_HOST`, to `endpoint`, to the endpoint of `region`, or to the
        service's own, in this order; to the last three with Application Default Credentials, unless
        `endpoint` is `http://` on this machine.

        Args:
            topics: By the full name of a topic, `projects/<project>/topics/<topic>`, how many
                messages a request to it has at most.
            endpoint: Such as `https://europe-west1-pubsub.googleapis.com`.
            region: Such as `europe-west1`.

        Raises:
            ConfigError: `endpoint` is unusable.
            MongoGcpStreamError: There are no credentials.
        """
    def look_up(self, timeout_ms: int) -> list[tuple[str, str, str]]:
        """Ask which of the topics exist, each within `timeout_ms` milliseconds.

        Returns:
            Topic, state and reason: the state is `exists`, `missing`, `not_allowed` (the account
            may not look) or `failed`, the only one with a reason.
        """
    def start_look_up(self, bridge: Bridge, call: int, timeout_ms: int) -> Call:
        """Begin what `look_up` does; the result is that of `call`."""
    def publish(
        self,
        messages: Sequence[tuple[str, bytes, dict[str, str], str]],
        timeout_ms: int,
        fail_fast: bool,
    ) -> list[str | Unpublished]:
        """Publish messages and wait for what becomes of them, without the GIL.

        Args:
            messages: Topic, data, attributes and ordering key (empty for none) of each.
            timeout_ms: When the call ends at the latest, in milliseconds.
            fail_fast: Once one message has failed, those of its topic that are not on their way yet
                are not sent.

        Returns:
            For each message, in their order, its id or why it has none.

        Raises:
            KeyError: It was not made for a topic.
        """
    def start_publish(
        self,
        bridge: Bridge,
        call: int,
        messages: Sequence[tuple[str, bytes, dict[str, str], str]],
        timeout_ms: int,
        fail_fast: bool,
    ) -> Call:
        """Begin what `publish` does; the result is that of `call`.

        The place of the messages in their order is taken when this returns. Once the call is
        cancelled, what is not on its way yet is not sent.
        """
    def flush(self) -> None:
        """Wait until everything that was handed over before is published or given up."""
    def start_flush(self, bridge: Bridge, call: int) -> Call:
        """Begin what `flush` does; the result is that of `call`."""
