"""What the core logs, and where it goes: what `mongo_gcp_stream.log` is made of."""

from typing import Literal

def log_format() -> Literal["text", "json"]:
    """Return the form of this process's log lines.

    It is `logging.format` of the first configuration that a :class:`Runner` was made of; `"text"`
    before.
    """

def log_open() -> bool:
    """Begin to keep what the core logs, for `log_take`, at most 4096 records below ERROR.

    It begins anew in a child that was forked.

    Returns:
        False where it goes to standard error, for the life of the process: a `Runner` came first.
    """

def log_take() -> tuple[list[tuple[int, str, str, str, float, str, int]], int] | None:
    """Wait for what the core logs, without the GIL, however long it takes, and take it all.

    Returns:
        The records, each as Python's number of its level, its target such as
        `mongo_gcp_stream::sink`, its text, JSON of an object with its other fields, when it was
        logged in seconds since the epoch, file and line; and how many others found no room.
        `None` once it is closed and all is taken.
    """

def log_close() -> None:
    """End what `log_open` began: what is logged from now on is forgotten."""

def log_debug(wanted: bool) -> None:
    """Keep the core's own `debug` records as well, or no longer."""
