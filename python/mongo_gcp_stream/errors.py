"""The exceptions of this package; the extension raises them too."""

from __future__ import annotations

__all__ = ["ConfigError", "MongoGcpStreamError", "StreamFailedError"]


class MongoGcpStreamError(Exception):
    """Any error of this package.

    No message ever holds a document's value, a resume token or a password.

    Attributes:
        hint: What can be done about it, in one sentence; empty where nothing is known.
    """

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
