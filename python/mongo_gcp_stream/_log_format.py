"""Log lines, as text for people or as JSON for machines."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

#: What every record has: whatever else it has was given with it.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "fields"}


class _Lines(logging.Formatter):
    """What both forms share."""

    def formatTime(  # noqa: N802 -- the name of the base class
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Return the record's time, UTC, with microseconds."""
        del datefmt
        time = datetime.fromtimestamp(record.created, timezone.utc)
        return time.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def trace(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack that the record has, if any."""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        stack = self.formatStack(record.stack_info) if record.stack_info else None
        return "\n".join(text for text in (record.exc_text, stack) if text)


class TextLines(_Lines):
    """`<time> <level> <logger>: <message> <name>=<value> …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it."""
        head = f"{self.formatTime(record)} {record.levelname:>7} {record.name}:"
        fields = [f"{name}={_text(value)}" for name, value in told(record).items()]
        line = " ".join([head, record.getMessage(), *fields])
        trace = self.trace(record)
        return f"{line}\n{trace}" if trace else line


class JsonLines(_Lines):
    """One flat object a line: `timestamp`, `level`, `message`, the fields, `target`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what JSON cannot say is said as text."""
        line: dict[str, Any] = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        for name, value in {**told(record), "target": record.name}.items():
            line.setdefault(name, value)
        trace = self.trace(record)
        if trace:
            line["exception"] = trace
        members = (f"{_json(str(name))}:{_json(value)}" for name, value in line.items())
        return f"{{{','.join(members)}}}"


def told(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record tells beside its text: the core's fields, and what `extra` named."""
    fields = getattr(record, "fields", None)
    extra = {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and value is not None
    }
    return {**fields, **extra} if isinstance(fields, dict) else extra


def _text(value: object) -> str:
    """Return a value such that one can tell where it ends."""
    text = value if isinstance(value, str) else str(value)
    plain = text and not any(c.isspace() or c in "\"'=" or not c.isprintable() for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _json(value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=str)
    except (TypeError, ValueError):
        return json.dumps(str(value))
