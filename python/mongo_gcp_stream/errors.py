"""The exceptions of this package; the extension raises them too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ConfigError",
    "MongoGcpStreamError",
    "PubSubSinkError",
    "PublishError",
    "PublishTimeoutError",
    "StreamFailedError",
    "TopicNotFoundError",
    "ValidationError",
]


class MongoGcpStreamError(Exception):
    """Any error of this package.

    No message ever holds a document's value, a resume token or a password.

    Attributes:
        hint: What can be done about it, in one sentence; empty where nothing is known.
        kind: What kind of trouble, such as `"HistoryLost"` or `"Conflict"`, where the core tells;
            else empty.
        retryable: Whether doing the same again may help.
    """

    kind: str = ""
    retryable: bool = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(MongoGcpStreamError, ValueError):
    """The configuration is wrong; nothing was started.

    Attributes:
        path: Dotted path of the key, such as ``mongodb.connections.main.uri``; the file's name
            where the file as a whole is meant.
    """

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class StreamFailedError(MongoGcpStreamError, RuntimeError):
    """A stream has ended by an error and is not started again.

    Attributes:
        stream_id: The stream, ``<connection id>.<source name>``.
    """

    def __init__(self, message: str, *, stream_id: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stream_id = stream_id


class ValidationError(MongoGcpStreamError, ValueError):
    """A document breaks rules of its schema.

    Attributes:
        errors: Every rule that it breaks, as ``path: rule``, never with a value.
    """

    def __init__(self, message: str, errors: Sequence[str] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errors: list[str] = list(errors)


class PubSubSinkError(MongoGcpStreamError):
    """A `PubSubSink` cannot do what it was asked to."""


class PublishError(PubSubSinkError):
    """A message was not published.

    Attributes:
        topic_name: The topic, as the sink's caller names it.
        original_error: The exception behind it; `None` where the core tells what happened.
        retryable: Whether publishing the same message again may help.
        published: After `publish_to_multiple_topics`: by topic the ids that there are.
    """

    def __init__(
        self,
        message: str,
        topic_name: str = "",
        original_error: BaseException | None = None,
        *,
        retryable: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.topic_name = topic_name
        self.original_error = original_error
        self.retryable = retryable
        self.published: dict[str, str] = {}


class TopicNotFoundError(PublishError):
    """A topic does not exist, or is none of the sink's."""


class PublishTimeoutError(PublishError, TimeoutError):
    """No answer came in time: the message may or may not have been published."""
