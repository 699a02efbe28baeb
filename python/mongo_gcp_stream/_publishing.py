"""What the sinks for plain Python and for asyncio share: all but the waiting."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from mongo_gcp_stream import _topics, log
from mongo_gcp_stream._core import Publisher, Unpublished
from mongo_gcp_stream.errors import (
    ConfigError,
    MongoGcpStreamError,
    PublishError,
    PublishTimeoutError,
    PubSubSinkError,
    TopicNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from mongo_gcp_stream._topics import Data, Message, Topic

_logger = logging.getLogger(__name__)

LOOK_UP_MS = 30_000
"""How long the look-up of a topic may take, in milliseconds."""

_HINTS = {
    "rejected": "Compare the message with the topic's schema and Pub/Sub's limits.",
    "too_large": "Pub/Sub takes 10 MB a message: send less, or a reference to it.",
    "auth": "Give the account the role roles/pubsub.publisher on the topic; without a key file "
    "run `gcloud auth application-default login`.",
    "timeout": "Check network access to Pub/Sub, or allow more time with `timeout`.",
    "not_sent": "Publish it again once the cause of the failure is mended.",
    "unavailable": "Check network access to Pub/Sub.",
}


class FailedMessage(NamedTuple):
    """A message of a batch that was not published."""

    position: int
    """Its place in the batch, from 0."""
    error: PublishError
    """Why."""


class Publishing:
    """What the blocking and the asyncio sink share: all but the waiting."""

    def __init__(
        self,
        project_id: str,
        topic_config: Mapping[str, Any],
        endpoint: str | None,
        region: str | None,
    ) -> None:
        self._topics = _topics.topics(project_id, topic_config)
        sizes: dict[str, int] = {}
        for topic in self._topics.values():
            sizes[topic.path] = min(topic.batch_size, sizes.get(topic.path, 1000))
        log.start()
        try:
            self._core = Publisher(sizes, endpoint=endpoint, region=region)
        except ConfigError:
            raise
        except MongoGcpStreamError as error:
            raise PubSubSinkError(str(error), hint=error.hint) from error
        self._closed = False

    def _topic(self, name: str) -> Topic:
        if self._closed:
            raise PubSubSinkError("the sink is closed")
        return _topics.named(self._topics, name)

    def _batch(
        self, data_batch: Iterable[Data], topic: Topic, attributes: Mapping[str, str] | None
    ) -> list[Message | PublishError]:
        """Make the messages of a batch; what cannot be made is told in its place."""

        def make(data: Data) -> Message | PublishError:
            try:
                return topic.message(data, attributes, None)
            except PublishError as error:
                return error

        return [make(data) for data in data_batch]

    def _id(self, receipt: str | Unpublished, name: str) -> str:
        """Return the id of a message, or raise why it has none."""
        if isinstance(receipt, str):
            return receipt
        raise self._error(receipt, name)

    def _error(self, receipt: Unpublished, name: str) -> PublishError:
        message = f"not published to {name}: {receipt.reason}"
        if receipt.kind == "topic_missing":
            return _missing(self._topics[name])
        if receipt.kind == "timeout":
            error: PublishError = PublishTimeoutError(message, name, retryable=True)
        else:
            error = PublishError(message, name, retryable=receipt.retryable)
        error.hint = _HINTS[receipt.kind]
        return error

    def _outcome(
        self,
        made: Sequence[Message | PublishError],
        receipts: Sequence[str | Unpublished],
        name: str,
        *,
        fail_fast: bool,
    ) -> tuple[list[str], list[FailedMessage]]:
        """Return ids and failures of a batch; with `fail_fast` raise what failed first."""
        published: list[str] = []
        failed: list[FailedMessage] = []
        remaining = iter(receipts)
        for index, message in enumerate(made):
            receipt = message if isinstance(message, PublishError) else next(remaining)
            if isinstance(receipt, str):
                published.append(receipt)
                continue
            cause = receipt if isinstance(receipt, PublishError) else self._error(receipt, name)
            if fail_fast and not (isinstance(receipt, Unpublished) and receipt.kind == "not_sent"):
                raise cause
            failed.append(FailedMessage(index, cause))
        return published, failed

    def _by_topic(
        self, receipts: Sequence[str | Unpublished], names: Sequence[str]
    ) -> dict[str, str]:
        """Return the id for each topic, or raise for the first topic that has none."""
        told = dict(zip(names, receipts, strict=True))
        published = {name: id_ for name, id_ in told.items() if isinstance(id_, str)}
        for name, receipt in told.items():
            if not isinstance(receipt, str):
                error = self._error(receipt, name)
                error.published = published
                raise error
        return published

    def _check(self, found: Sequence[tuple[str, str, str]]) -> None:
        """Raise for the first topic that is missing or cannot be looked up."""
        states = {path: (state, reason) for path, state, reason in found}
        for topic in self._topics.values():
            state, reason = states[topic.path]
            if state == "missing":
                raise _missing(topic)
            if state == "failed":
                message = f"{topic.path} cannot be looked up: {reason}"
                hint = "Check network access to Pub/Sub and the credentials."
                raise PubSubSinkError(message, hint=hint)
            if state == "not_allowed":
                _logger.warning("%s was not looked up: the account may not look", topic.path)


class Done:
    """Something to await that is over."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


def messages(made: Iterable[Message | PublishError], *, fail_fast: bool) -> list[Message]:
    """Return the messages that could be made; with `fail_fast` that has to be all of them."""
    messages = []
    for message in made:
        if not isinstance(message, PublishError):
            messages.append(message)
        elif fail_fast:
            raise message
    return messages


def milliseconds(timeout: float) -> int:
    if not 0 <= timeout <= 1e9:
        raise ValueError("timeout is a number of seconds, 0 or more")
    return round(timeout * 1000)


def _missing(topic: Topic) -> TopicNotFoundError:
    project, _, short = topic.path.removeprefix("projects/").partition("/topics/")
    command = f"gcloud pubsub topics create {short} --project={project}"
    hint = f"Create it: {command} (or mongo-gcp-stream setup, where a configuration names it)."
    return TopicNotFoundError(f"{topic.path} does not exist", topic.name, hint=hint)
