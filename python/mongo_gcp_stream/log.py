"""Logging: what the core says comes out of Python's `logging`.

Each record of the core goes to the logger of its module, such as `mongo_gcp_stream.sink.pubsub`,
with the attributes `stream` (or `None`) and `fields`, a dict of what it tells beside its text. No
record holds a document's value, a resume token or a password.

`configure_logging` sets everything up. A program that sets up `logging` itself needs nothing of
this module: managers and sinks call `start`.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Literal

from mongo_gcp_stream import _core
from mongo_gcp_stream._log_format import JsonLines, TextLines
from mongo_gcp_stream._log_sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mongo_gcp_stream._log_sampling import Rule

__all__ = ["configure_logging", "start", "stop"]

_PACKAGE = "mongo_gcp_stream"

#: How long the end of the process waits for a handler that is stuck.
_PATIENCE_SECONDS = 5.0

_logger = logging.getLogger(__name__)


#: What the core has logged: level, target, text, fields as JSON, time, file and line.
Logged = tuple[int, str, str, str, float, str, int]


def configure_logging(
    level: int | str = "INFO",
    format: Literal["text", "json"] = "text",  # noqa: A002 -- the key of the configuration
    sampling: Mapping[str, Rule] | None = None,
) -> None:
    """Log to standard error, from Python and from the core; to be called again to change it.

    It gives the root logger one handler and leaves others alone.

    Args:
        level: Least severe level that is logged, as a name in upper or lower case or as a number.
            Other packages are never logged below INFO, whatever it is: what they say there may hold
            documents and credentials. Set the level of your own loggers yourself.
        format: `text` for people; `json` for machines, one object a line with `timestamp`,
            `level`, `message`, `target` (the logger), `stream` and further fields.
        sampling: What is left out, by the name of a logger, which stands for those below it as
            well. A share such as `0.1` keeps a tenth of what is below WARNING; `"10/s"` keeps the
            first ten records of each second, warnings included, and the next record tells in
            `left_out` how many it left out. ERROR and above are always logged.

    Raises:
        ValueError: An argument is none of these.

    Example:
        >>> configure_logging("INFO", format="json", sampling={"mongo_gcp_stream.sink": "10/s"})
    """
    number = _number(level)
    forms = {"text": TextLines, "json": JsonLines}
    if format not in forms:
        message = f'format: expected "text" or "json", not {format!r}'
        raise ValueError(message)
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(_PACKAGE)
    handler.setFormatter(forms[format]())
    if sampling:
        handler.addFilter(Sampling(sampling))
    root = logging.getLogger()
    for former in [former for former in root.handlers if former.get_name() == _PACKAGE]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(number, logging.INFO))
    logging.getLogger(_PACKAGE).setLevel(number)
    if not start():
        _logger.warning("a Runner came first: the core goes on logging as its configuration says")


def start() -> bool:
    """Have the core's records come out of `logging`, by a thread that waits for them.

    To be called as often as one likes, and again in a child that was forked, which is silent until
    then. `debug` records of the core come if one of the package's loggers wants them when this is
    called or a record comes.

    Returns:
        False where a `Runner` was made before: then the core logs to standard error, as the
        runner's configuration says.
    """
    with _reader.lock:
        if _reader.thread is not None and _reader.thread.is_alive():
            _want_debug()
            return True
        if not _core.log_open():
            return False
        _want_debug()
        thread = threading.Thread(target=_read, name="mongo-gcp-stream-log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, and starts no thread any more
            _core.log_close()
        else:
            _reader.thread = thread
    return True


def stop() -> None:
    """End the thread once it has handled what was logged so far. The end of the process does it."""
    with _reader.lock:
        thread, _reader.thread = _reader.thread, None
        if thread is None:
            return
        _core.log_close()
    if thread is not threading.current_thread():
        thread.join(_PATIENCE_SECONDS)


class _Reader:
    """The one thread that reads, in this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """In a child that was forked: threads, and the holders of locks, are the parent's."""
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None


_reader = _Reader()

# A daemon: the interpreter waits for other threads before it calls what would end this one.
atexit.register(stop)
os.register_at_fork(after_in_child=_reader.forget)


def _read() -> None:
    """Hand over what the core logs until it is closed."""
    while (taken := _core.log_take()) is not None:
        records, dropped = taken
        for record in records:
            _protected(_handle, record)
        if dropped:
            told = "%d records of the core were left out: too many at once"
            _protected(_logger.warning, told, dropped)
        _protected(_want_debug)


def _handle(logged: Logged) -> None:
    level, target, message, fields, created, file, line = logged
    logger = logging.getLogger(_name(target))
    if not logger.isEnabledFor(level):
        return
    record = logger.makeRecord(logger.name, level, file, line, message, (), None)
    record.relativeCreated += (created - record.created) * 1000
    record.created = created
    record.msecs = created % 1 * 1000
    told = json.loads(fields)
    vars(record).update(fields=told, stream=told.get("stream"))
    logger.handle(record)


def _protected(call: Callable[..., object], *arguments: object) -> None:
    """Call what may run anybody's handlers and filters: one that fails ends nothing."""
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001
        if logging.raiseExceptions:
            traceback.print_exc()


def _want_debug() -> None:
    """Tell the core whether anybody wants its `debug` records."""
    # A copy: another thread may make a logger meanwhile.
    names = list(logging.root.manager.loggerDict)
    below = [name for name in names if name.startswith(f"{_PACKAGE}.")]
    loggers = (logging.getLogger(name) for name in (_PACKAGE, *below))
    _core.log_debug(any(logger.isEnabledFor(logging.DEBUG) for logger in loggers))


def _name(target: str) -> str:
    """Return the logger of a module in Rust; those of other crates are below `crates`."""
    crate, *modules = target.split("::")
    return ".".join([_PACKAGE, *([] if crate == _PACKAGE else ["crates", crate]), *modules])


def _number(level: int | str) -> int:
    number = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        message = f"level: expected a level such as INFO or logging.INFO, not {level!r}"
        raise ValueError(message)
    return number
