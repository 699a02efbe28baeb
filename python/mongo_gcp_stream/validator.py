"""Documents checked by the rules of `schemas`, and made ready for Pub/Sub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from math import isfinite
from typing import TYPE_CHECKING, Any, TypedDict

from mongo_gcp_stream import _documents
from mongo_gcp_stream._core import Validator
from mongo_gcp_stream.errors import ConfigError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DocumentValidator", "PreparedMessage"]


class PreparedMessage(TypedDict):
    """A message as :meth:`DocumentValidator.prepare_for_pubsub` gives it."""

    data: bytes
    """The document in relaxed Extended JSON, UTF-8."""
    attributes: dict[str, str]
    """`operation` and `timestamp`."""


class DocumentValidator:
    """Checks documents by the rules that `schemas` of the configuration has.

    The rules are compiled once, in Rust, and looked up in the document's BSON; they are those of
    `docs/guide/validation.md`. One rule is for Python alone: `validation`, a callable that is
    called with the field's value once the field's other rules hold; what it answers with False, or
    by raising, is invalid. It runs in Python for every document, which is slow beside the other
    rules: take `pattern`, `enum`, `min` and the like where they suffice.

    It may be used from several threads, and pickled where its callables can be.

    Example:
        >>> validator = DocumentValidator(
        ...     {"main.orders": {"total": {"type": "number", "required": True, "min": 0}}}
        ... )
        >>> validator.transform_document("main.orders", {"total": 20})["_metadata"]["source_name"]
        'orders'
    """

    def __init__(self, schemas: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """Compile rules.

        Args:
            schemas: By the name of a stream, `<connection>.<source>`, and the dotted path of a
                field its rules: `type`, `required`, `nullable`, `min`, `max`, `min_length`,
                `max_length`, `pattern`, `enum`, `validation`. A bound may be a `datetime`.

        Raises:
            ConfigError: A rule is wrong, also one of a stream that never comes; `path` names it,
                such as `schemas.main.orders.total.min`.
        """
        self._schemas = schemas
        self._callables: dict[str, dict[str, Callable[[Any], object]]] = {}
        plain = {
            stream: self._without_callables(stream, rules) for stream, rules in schemas.items()
        }
        self._rules = Validator(json.dumps(plain))

    def transform_document(self, stream_id: str, doc: Mapping[str, Any]) -> dict[str, Any]:
        """Check a document and return a copy of it with `_metadata`.

        `_metadata` is what `enrich: {metadata: true}` adds: `processed_at` (a datetime in UTC,
        whole milliseconds), `source` (`mongodb_change_stream`), `connection_id`, `source_name` and
        `version` (`1.0`). It comes last and replaces a field of that name.

        Args:
            stream_id: `<connection>.<source>`. A stream without rules takes every document.
            doc: The document, with values that BSON has. It is not changed; the copy shares what
                is nested in it.

        Raises:
            ValidationError: The document breaks rules, or has a value that BSON has not;
                `errors` names them all.
        """
        errors = self._broken(stream_id, doc)
        if errors:
            hint = "Correct the document, or the rules in `schemas`."
            raise ValidationError(f"{stream_id}: {'; '.join(errors)}", errors, hint=hint)
        connection_id, _, source_name = stream_id.partition(".")
        transformed = {key: value for key, value in doc.items() if key != "_metadata"}
        transformed["_metadata"] = {
            "processed_at": _now(),
            "source": "mongodb_change_stream",
            "connection_id": connection_id,
            "source_name": source_name,
            "version": "1.0",
        }
        return transformed

    def prepare_for_pubsub(self, doc: Mapping[str, Any], operation_type: str) -> PreparedMessage:
        """Make a document ready to be published.

        `data` is bytes, not a dict: the document in relaxed Extended JSON, in which object ids,
        dates and decimals have their place. `PubSubSink.publish_message` takes both parts:

        >>> message = validator.prepare_for_pubsub(document, "insert")
        >>> sink.publish_message(message["data"], "orders", attributes=message["attributes"])

        Args:
            doc: The document, such as :meth:`transform_document` gives it.
            operation_type: What was done to it, such as `insert`: the attribute `operation`. The
                attribute `timestamp` is now, in RFC 3339.

        Raises:
            ValueError: The document has a value that BSON has not.
        """
        timestamp = _now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "data": _documents.to_json(doc),
            "attributes": {"operation": operation_type, "timestamp": timestamp},
        }

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._schemas,)

    def _without_callables(self, stream: str, rules: object) -> object:
        """Take the callables out of the rules of a stream, and return the rest for JSON."""
        path = f"schemas.{stream}"
        if not isinstance(rules, Mapping):
            return _plain(rules, path)
        rest: dict[str, object] = {}
        for field, rule in rules.items():
            at = f"{path}.{field}"
            if not isinstance(rule, Mapping) or rule.get("validation") is None:
                rest[str(field)] = _plain(rule, at)
                continue
            if not callable(rule["validation"]):
                raise _wrong(f"{at}.validation", "expected a callable")
            self._callables.setdefault(stream, {})[str(field)] = rule["validation"]
            others = {key: value for key, value in rule.items() if key != "validation"}
            rest[str(field)] = _plain(others, at)
        return rest

    def _broken(self, stream_id: str, doc: Mapping[str, Any]) -> list[str]:
        try:
            encoded = _documents.to_bson(doc)
        except ValueError as error:
            return [f"document: {error}"]
        errors = self._rules.check(stream_id, encoded)
        callables = self._callables.get(stream_id)
        if callables:
            sound = [
                (field, rule)
                for field, rule in callables.items()
                if not any(error.startswith(f"{field}: ") for error in errors)
            ]
            errors += [
                f"{field}: validation"
                for field, rule in sound
                if not _holds(rule, _documents.find(doc, field))
            ]
        return errors


def _holds(rule: Callable[[Any], object], value: object) -> bool:
    """Ask a callable; a field that is missing or null is held to no such rule."""
    if value is None or value is _documents.MISSING:
        return True
    try:
        return bool(rule(value))
    except Exception:  # noqa: BLE001 -- whatever it raises, the value is not what it should be
        return False


def _now() -> datetime:
    """Now, in whole milliseconds, as BSON has dates."""
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _plain(value: object, path: str) -> object:
    """Return a value of `schemas` as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(below, f"{path}.{key}") for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str):
        # What expands in a file is a text here.
        return value.replace("${", "$${")
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).isoformat()
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    raise _wrong(path, f"a {type(value).__name__} has no place here")


def _wrong(path: str, message: str) -> ConfigError:
    hint = "See docs/guide/validation.md for the rules."
    return ConfigError(f"{path}: {message}", path=path, hint=hint)
