"""Publishing messages of one's own to Pub/Sub: blocking, and for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import _loop
from mongo_gcp_stream._publishing import (
    LOOK_UP_MS,
    Done,
    FailedMessage,
    Publishing,
    messages,
    milliseconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from mongo_gcp_stream._core import Unpublished
    from mongo_gcp_stream._topics import Data, Message

__all__ = ["AsyncPubSubSink", "FailedMessage", "PubSubSink"]


class PubSubSink(Publishing):
    """Publishes documents, texts and bytes to Pub/Sub; every call waits for what becomes of them.

    `topic_config` has by the name that calls use:

    - `name`: the topic, where it is called otherwise; short or `projects/<project>/topics/<topic>`.
    - `batch_size`: most messages in a request, 1000 by default.
    - `attributes`: sent with every message.
    - `ordering_key`: dotted path of a field of the data whose value is the ordering key. A message
      without the field has none. Data that is text or bytes has to be a JSON object then, unless
      the call names an ordering key.

    Messages with the same ordering key arrive in the order of the calls, and of a batch: one
    request of a key is in flight at a time, keys side by side. Without a key there is no order. A
    request whose outcome is unknown is sent again, so a message may arrive twice. One that fails
    does not hold up those behind it; one that timed out may still arrive, then also after them.

    Failures that pass are waited out with growing, random pauses until the call's timeout. Nothing
    of the data is ever in an error's text.

    It may be used from several threads, and works as a context manager. For asyncio there is
    :class:`AsyncPubSubSink`, whose methods have the same names; a `with` block around coroutines
    would hold up their loop.

    Example:
        >>> with PubSubSink("shop", {"orders": {"ordering_key": "customer"}}) as sink:
        ...     sink.publish_message({"customer": 7, "total": 20}, "orders")
        '1'
    """

    def __init__(
        self,
        project_id: str,
        topic_config: Mapping[str, Any],
        validate_topics: bool = True,
        *,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> None:
        """Prepare the connection and look the topics up.

        It goes to `PUBSUB_EMULATOR_HOST` where that is set, else to Google with Application Default
        Credentials.

        Args:
            project_id: The Google Cloud project, without `projects/`.
            topic_config: The topics; see the class. `pubsub.topics` of a configuration does, too.
            validate_topics: Look each topic up. An account that may publish and not look is warned
                about in the log.
            endpoint: Instead of the service's own, such as
                `https://europe-west1-pubsub.googleapis.com`; `http://` for this machine only.
            region: Publish through this region's endpoint: Pub/Sub keeps the order of a key only
                within one region.

        Raises:
            ConfigError: `topic_config` or `endpoint` is wrong; `path` names the key.
            TopicNotFoundError: A topic does not exist.
            PubSubSinkError: There are no credentials, or the topics cannot be looked up.
        """
        super().__init__(project_id, topic_config, endpoint, region)
        if validate_topics:
            self._check(self._core.look_up(LOOK_UP_MS))

    def publish_message(
        self,
        data: Data,
        topic_name: str,
        timeout: float = 60.0,
        *,
        attributes: Mapping[str, str] | None = None,
        ordering_key: str | None = None,
    ) -> str:
        """Publish one message and return its id.

        Args:
            data: A document (sent as relaxed Extended JSON), text (as UTF-8) or bytes.
            topic_name: One of `topic_config`.
            timeout: Seconds until it is given up.
            attributes: Beside those of the topic, and before them.
            ordering_key: Instead of the topic's field; empty for none.

        Raises:
            TopicNotFoundError: The sink has no such topic, or it does not exist.
            PublishTimeoutError: It may or may not have been published; also a TimeoutError.
            PublishError: It was refused, is too large, or has a value that BSON has not.
            PubSubSinkError: The sink is closed.
        """
        message = self._topic(topic_name).message(data, attributes, ordering_key)
        (receipt,) = self._core.publish([message], milliseconds(timeout), fail_fast=False)
        return self._id(receipt, topic_name)

    def publish_batch(
        self,
        data_batch: Iterable[Data],
        topic_name: str,
        fail_fast: bool = False,
        *,
        timeout: float = 60.0,
        attributes: Mapping[str, str] | None = None,
    ) -> tuple[list[str], list[FailedMessage]]:
        """Publish many messages, in full requests.

        A message that is refused or too large fails alone; the others are published.

        Args:
            data_batch: The data of each message.
            topic_name: One of `topic_config`.
            fail_fast: Raise once a message has failed; those that are not on their way by then are
                not sent.
            timeout: Seconds until what is not published is given up.
            attributes: As for :meth:`publish_message`, for all of them.

        Returns:
            The ids of the messages that were published, and those that were not, both in the order
            of the batch: `data_batch[failed[0].position]` failed with `failed[0].error`.

        Raises:
            TopicNotFoundError: The sink has no such topic.
            PublishError: With `fail_fast`, the failure of the first message that failed.
            PubSubSinkError: The sink is closed.
        """
        made = self._batch(data_batch, self._topic(topic_name), attributes)
        sent = messages(made, fail_fast=fail_fast)
        receipts = self._core.publish(sent, milliseconds(timeout), fail_fast)
        return self._outcome(made, receipts, topic_name, fail_fast=fail_fast)

    def publish_to_multiple_topics(
        self,
        data: Data,
        names: Iterable[str],
        timeout: float = 60.0,
        *,
        attributes: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Publish one message to several topics, side by side, and return its ids by topic.

        Raises:
            PublishError: It was not published to at least one of the topics: the error is that of
                the first of them, and its `published` has the ids that there are.
            PubSubSinkError: The sink is closed.
        """
        wanted = list(dict.fromkeys(names))
        messages = [self._topic(name).message(data, attributes, None) for name in wanted]
        receipts = self._core.publish(messages, milliseconds(timeout), fail_fast=False)
        return self._by_topic(receipts, wanted)

    def flush(self) -> None:
        """Wait until what other threads are publishing now is published or has failed."""
        self._core.flush()

    def close(self) -> Done:
        """Wait as :meth:`flush` does; afterwards nothing can be published. May be called again.

        What it returns can be awaited, as the original's `await sink.close()` did; by then all is
        done.
        """
        self._closed = True
        self._core.flush()
        return Done()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncPubSubSink(Publishing):
    """The same as :class:`PubSubSink` for asyncio: every method is a coroutine.

    Nothing is looked up when it is made, which would hold up the loop: `async with`, or
    `await sink.open()`, does that. The place of a message among those of its ordering key is taken
    when its coroutine begins to run. When a coroutine is cancelled, its message is not sent any
    more if it was not on its way yet; else it may or may not arrive.

    Example:
        >>> async with AsyncPubSubSink("shop", {"orders": {}}) as sink:
        ...     ids = await asyncio.gather(*(sink.publish_message(d, "orders") for d in documents))
    """

    def __init__(
        self,
        project_id: str,
        topic_config: Mapping[str, Any],
        validate_topics: bool = True,
        *,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> None:
        """As that of :class:`PubSubSink`, without the look-up."""
        super().__init__(project_id, topic_config, endpoint, region)
        self._validate_topics = validate_topics

    async def open(self) -> None:
        """Look the topics up, if `validate_topics` says so.

        Raises:
            TopicNotFoundError: A topic does not exist.
            PubSubSinkError: The topics cannot be looked up.
        """
        if self._validate_topics:
            core = self._core
            self._check(await _loop.call(lambda b, n: core.start_look_up(b, n, LOOK_UP_MS)))

    async def publish_message(
        self,
        data: Data,
        topic_name: str,
        timeout: float = 60.0,
        *,
        attributes: Mapping[str, str] | None = None,
        ordering_key: str | None = None,
    ) -> str:
        """As :meth:`PubSubSink.publish_message`."""
        message = self._topic(topic_name).message(data, attributes, ordering_key)
        (receipt,) = await self._published([message], timeout, fail_fast=False)
        return self._id(receipt, topic_name)

    async def publish_batch(
        self,
        data_batch: Iterable[Data],
        topic_name: str,
        fail_fast: bool = False,
        *,
        timeout: float = 60.0,
        attributes: Mapping[str, str] | None = None,
    ) -> tuple[list[str], list[FailedMessage]]:
        """As :meth:`PubSubSink.publish_batch`."""
        made = self._batch(data_batch, self._topic(topic_name), attributes)
        sent = messages(made, fail_fast=fail_fast)
        receipts = await self._published(sent, timeout, fail_fast=fail_fast)
        return self._outcome(made, receipts, topic_name, fail_fast=fail_fast)

    async def publish_to_multiple_topics(
        self,
        data: Data,
        names: Iterable[str],
        timeout: float = 60.0,
        *,
        attributes: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """As :meth:`PubSubSink.publish_to_multiple_topics`."""
        wanted = list(dict.fromkeys(names))
        messages = [self._topic(name).message(data, attributes, None) for name in wanted]
        receipts = await self._published(messages, timeout, fail_fast=False)
        return self._by_topic(receipts, wanted)

    async def flush(self) -> None:
        """Wait until everything that is being published now is published or has failed."""
        await _loop.call(self._core.start_flush)

    async def close(self) -> None:
        """Wait as :meth:`flush` does; afterwards nothing can be published. May be called again."""
        self._closed = True
        await self.flush()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _published(
        self, messages: Sequence[Message], seconds: float, *, fail_fast: bool
    ) -> list[str | Unpublished]:
        core, timeout_ms = self._core, milliseconds(seconds)
        receipts: list[str | Unpublished] = await _loop.call(
            lambda bridge, number: core.start_publish(
                bridge, number, messages, timeout_ms, fail_fast
            )
        )
        return receipts
