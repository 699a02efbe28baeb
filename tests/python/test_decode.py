"""Events as Python gets them, against `bson.decode`."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import DBRef, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from hypothesis import HealthCheck, given, settings
from mongo_gcp_stream import ChangeEvent

from tests.python.test_extended_json import documents, golden

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


def shown(value: Any) -> Any:
    """A value with its types; NaN equals itself."""
    if isinstance(value, dict):
        return type(value), [(name, shown(inner)) for name, inner in value.items()]
    if isinstance(value, list):
        return type(value), [shown(inner) for inner in value]
    return type(value), repr(value)


def decoded(document: bytes) -> dict[str, Any]:
    return ChangeEvent.from_raw("main.orders", document).to_dict()


@pytest.mark.parametrize("case", golden("extended_json.json"))
def test_golden_documents_are_what_pymongo_makes_of_them(case: dict[str, Any]) -> None:
    document = bytes.fromhex(case["bson"])
    assert shown(decoded(document)) == shown(bson.decode(document, OPTIONS))


@pytest.mark.parametrize("case", golden("invalid_bson.json"))
def test_what_pymongo_refuses_is_refused(case: dict[str, Any]) -> None:
    document = bytes.fromhex(case["bson"])
    try:
        expected: dict[str, Any] = bson.decode(document, OPTIONS)
    except InvalidBSON:
        with pytest.raises((InvalidBSON, ValueError)):
            decoded(document)
    else:
        assert shown(decoded(document)) == shown(expected)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_documents_are_what_pymongo_makes_of_them(document: dict[str, Any]) -> None:
    encoded = bson.encode(document)
    assert shown(decoded(encoded)) == shown(bson.decode(encoded, OPTIONS))


def test_references_and_deep_documents_are_what_pymongo_makes_of_them() -> None:
    deep: dict[str, Any] = {}
    for _ in range(150):
        deep = {"deeper": [deep]}
    key = ObjectId()
    for document in (
        {"reference": DBRef("orders", key), "list": [DBRef("orders", key, "shop")]},
        {"$ref": "orders", "$id": key},
        {"nested": {"$where": 1, "price": {"$ref": 1}}},
        deep,
    ):
        encoded = bson.encode(document)
        assert shown(decoded(encoded)) == shown(bson.decode(encoded, OPTIONS))
