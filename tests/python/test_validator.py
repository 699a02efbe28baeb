"""`DocumentValidator`: the rules of `schemas` for documents that Python holds."""

from __future__ import annotations

import json
import pickle
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, json_util
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st
from mongo_gcp_stream._core import transform_event
from mongo_gcp_stream.errors import ConfigError, ValidationError
from mongo_gcp_stream.validator import DocumentValidator

STREAM = "main.orders"
SECRET = "4111-1111"  # noqa: S105 - a value that no error may show
WHEN = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=timezone.utc)


def errors_of(rules: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """The rules that a document breaks."""
    try:
        DocumentValidator({STREAM: rules}).transform_document(STREAM, document)
    except ValidationError as error:
        return error.errors
    return []


@pytest.mark.parametrize(
    ("rule", "good", "bad", "broken"),
    [
        ({"type": "string"}, "x", 1, "a: type string"),
        ({"type": "number"}, Decimal128("1.5"), "1", "a: type number"),
        ({"type": "boolean"}, True, 1, "a: type boolean"),
        ({"type": "date"}, WHEN, "2026-01-31", "a: type date"),
        ({"type": "object"}, {"b": 1}, [1], "a: type object"),
        ({"type": "array"}, [1], {"b": 1}, "a: type array"),
        ({"nullable": True}, None, None, None),
        ({}, 1, None, "a: not nullable"),
        ({"min": 1}, Int64(1), 0.5, "a: min"),
        ({"max": 1.5}, 1.5, 2, "a: max"),
        ({"type": "date", "min": WHEN}, WHEN, WHEN - timedelta(days=1), "a: min"),
        ({"min_length": 2}, "ab", "a", "a: min_length"),
        ({"max_length": 1}, [1], [1, 2], "a: max_length"),
        ({"pattern": "^[a-z]+$"}, "abc", "ABC", "a: pattern"),
        ({"pattern": r"^\$\{x\}$"}, "${x}", "x", "a: pattern"),
        ({"enum": ["a", 1, True]}, 1, "b", "a: enum"),
        ({"type": "number", "min": None, "validation": None}, 1, "1", "a: type number"),
    ],
)
def test_each_rule_takes_what_keeps_it_and_names_what_breaks_it(
    rule: dict[str, Any], good: object, bad: object, broken: str | None
) -> None:
    assert errors_of({"a": rule}, {"a": good}) == []
    assert errors_of({"a": rule}, {"a": bad}) == ([] if broken is None else [broken])


def test_a_document_is_told_all_that_is_wrong_and_no_value() -> None:
    validator = DocumentValidator(
        {
            STREAM: {
                "card": {"max_length": 3, "validation": lambda value: value != SECRET},
                "lines.0.price": {"type": "number", "required": True},
                "note": {"required": True},
            }
        }
    )
    with pytest.raises(ValidationError) as caught:
        validator.transform_document(STREAM, {"card": SECRET, "lines": [{"price": SECRET}]})
    assert caught.value.errors == [
        "card: max_length",
        "lines.0.price: type number",
        "note: required",
    ]
    assert isinstance(caught.value, ValueError)
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).errors == caught.value.errors  # noqa: S301


def test_what_is_added_is_what_enrich_adds_in_rust() -> None:
    document = {"_id": ObjectId(), "_metadata": "older", "total": 1}
    before = dict(document)
    transformed = DocumentValidator({}).transform_document(STREAM, document)
    assert document == before
    assert list(transformed) == ["_id", "total", "_metadata"]
    processed_at = transformed["_metadata"]["processed_at"]
    assert abs(datetime.now(timezone.utc) - processed_at) < timedelta(minutes=5)
    (message,) = transform_event(
        CONFIG, STREAM, insert(document), int(processed_at.timestamp() * 1000)
    )
    aware = CodecOptions[dict[str, Any]](tz_aware=True)
    written = json_util.loads(message[1], json_options=json_util.JSONOptions(tz_aware=True))
    assert written == bson.decode(bson.encode(transformed), aware)
    assert list(written["_metadata"]) == list(transformed["_metadata"])


CONFIG = """
mongodb:
  connections:
    main:
      uri: mongodb://localhost
      sources:
        orders:
          {database: shop, collection: orders, envelope: document, enrich: {metadata: true}}
gcp: {project_id: demo}
pubsub: {topics: {default: {name: orders}}}
checkpoint: {store: memory}
"""


def insert(document: dict[str, Any]) -> bytes:
    return bson.encode(
        {
            "_id": {"_data": "8265F1C2A0000000012B022C0100296E5A1004"},
            "operationType": "insert",
            "clusterTime": bson.Timestamp(1, 1),
            "ns": {"db": "shop", "coll": "orders"},
            "documentKey": {"_id": document["_id"]},
            "fullDocument": document,
        }
    )


def test_a_stream_without_rules_takes_every_document() -> None:
    validator = DocumentValidator({STREAM: {"a": {"required": True}}})
    transformed = validator.transform_document("other.stream", {"b": 1})
    assert transformed["_metadata"]["connection_id"] == "other"
    assert transformed["_metadata"]["source_name"] == "stream"


def test_a_callable_is_asked_about_values_that_keep_the_other_rules() -> None:
    asked: list[object] = []

    def even(value: int) -> bool:
        asked.append(value)
        return value % 2 == 0

    rules = {"n": {"type": "number", "nullable": True, "validation": even}}
    assert errors_of(rules, {"n": 2}) == []
    assert errors_of(rules, {"n": 3}) == ["n: validation"]
    for document in ({"n": "3"}, {"n": None}, {}):
        errors_of(rules, document)
    assert asked == [2, 3]


def test_a_callable_that_raises_finds_the_value_invalid_and_its_text_is_not_told() -> None:
    def refuse(value: object) -> bool:
        raise RuntimeError(value)

    rules = {"customer.card": {"validation": refuse}}
    with pytest.raises(ValidationError) as caught:
        DocumentValidator({STREAM: rules}).transform_document(
            STREAM, {"customer": {"card": SECRET}}
        )
    assert caught.value.errors == ["customer.card: validation"]
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("schemas", "path"),
    [
        ({STREAM: {"total": {"min": "x"}}}, f"schemas.{STREAM}.total.min"),
        ({STREAM: {"total": {"typ": "number"}}}, f"schemas.{STREAM}.total.typ"),
        ({STREAM: {"total": {"pattern": "("}}}, f"schemas.{STREAM}.total.pattern"),
        ({STREAM: {"total": {"enum": [object()]}}}, f"schemas.{STREAM}.total.enum[0]"),
        ({STREAM: {"total": {"min": float("nan")}}}, f"schemas.{STREAM}.total.min"),
        ({STREAM: {"total": {"validation": "even"}}}, f"schemas.{STREAM}.total.validation"),
        ({STREAM: {"a..b": {}}}, f"schemas.{STREAM}.a..b"),
        ({STREAM: 1}, f"schemas.{STREAM}"),
        ({"orders": {}}, "schemas.orders"),
        ({"ma in.orders": {"a": {}}}, "schemas.ma in.orders"),
    ],
)
def test_a_wrong_rule_is_refused_at_once_with_its_path(schemas: Any, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DocumentValidator(schemas)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("value", [object(), 1 << 70, "\udc80"])
def test_what_is_not_bson_is_a_validation_error_without_the_value(value: object) -> None:
    with pytest.raises(ValidationError, match="document: the document is not BSON") as caught:
        DocumentValidator({}).transform_document(STREAM, {SECRET: value})
    assert SECRET not in str(caught.value)
    assert str(value).encode(errors="replace") not in str(caught.value).encode()


def test_every_type_that_mongodb_has_is_prepared_for_pubsub() -> None:
    # Any ObjectId ended the original's listener: its JSON knew none.
    document = {
        "_id": ObjectId("65f1c2a00000000000000001"),
        "when": WHEN,
        "price": Decimal128("9.90"),
        "key": uuid.UUID(int=1),
        "lines": [{"n": Int64(1)}],
    }
    validator = DocumentValidator({})
    prepared = validator.prepare_for_pubsub(document, "insert")
    assert json.loads(prepared["data"]) == {
        "_id": {"$oid": "65f1c2a00000000000000001"},
        "when": {"$date": "2026-01-31T12:00:00.250Z"},
        "price": {"$numberDecimal": "9.90"},
        "key": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAQ==", "subType": "04"}},
        "lines": [{"n": 1}],
    }
    assert prepared["attributes"]["operation"] == "insert"
    timestamp = datetime.fromisoformat(prepared["attributes"]["timestamp"].replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - timestamp) < timedelta(minutes=5)
    validator.prepare_for_pubsub(validator.transform_document(STREAM, document), "insert")


def positive(value: float) -> bool:
    return value > 0


def test_a_validator_is_pickled_with_its_callables() -> None:
    validator = DocumentValidator({STREAM: {"n": {"validation": positive}}})
    again = pickle.loads(pickle.dumps(validator))  # noqa: S301
    with pytest.raises(ValidationError):
        again.transform_document(STREAM, {"n": -1})


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text()


@given(st.dictionaries(st.text().filter(lambda key: "\0" not in key), scalars, max_size=4))
def test_no_document_makes_it_fail_in_another_way(document: dict[str, Any]) -> None:
    rules = {"a": {"type": "number", "min": 1}, "b.c": {"required": True, "pattern": "x"}}
    assert set(errors_of(rules, document)) <= {
        "a: type number",
        "a: min",
        "a: not nullable",
        "b.c: required",
        "b.c: pattern",
    }
