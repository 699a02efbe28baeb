"""The transcoder as Python sees it, against pymongo's own reader of Extended JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from mongo_gcp_stream import to_extended_json

GOLDEN = Path(__file__).parent.parent / "golden"

OPTIONS: json_util.JSONOptions = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def golden(name: str) -> list[Any]:
    """The cases of a golden file, each a pytest parameter with its name."""
    cases = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in cases]


def read_back(canonical: bytes) -> bytes:
    """BSON again, by pymongo."""
    return bson.encode(json_util.loads(canonical, json_options=OPTIONS))


@pytest.mark.parametrize("case", golden("extended_json.json"))
def test_golden_documents_are_written_to_the_byte(case: dict[str, Any]) -> None:
    document = bytes.fromhex(case["bson"])
    assert to_extended_json(document).decode() == case["relaxed"]
    assert to_extended_json(document, "relaxed").decode() == case["relaxed"]
    assert to_extended_json(document, mode="canonical").decode() == case["canonical"]
    if case["pymongo"]:
        assert read_back(case["canonical"].encode()) == document


@pytest.mark.parametrize("case", golden("invalid_bson.json"))
def test_golden_faults_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^invalid BSON at ") as caught:
        to_extended_json(bytes.fromhex(case["bson"]))
    assert f" at {case['path'] or 'the top level'}: " in str(caught.value)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode must be 'relaxed', 'canonical' or 'simplified'"):
        to_extended_json(bson.encode({}), "strict")  # type: ignore[arg-type]


# A name that starts with a dollar sign may look like a type wrapper.
names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20).filter(
    lambda name: not name.startswith("$")
)
c_strings = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
int64 = st.integers(-(2**63), 2**63 - 1)
uint32 = st.integers(0, 2**32 - 1)
# pymongo reads the text "NaN" as the quiet NaN without a payload.
doubles = st.floats(allow_nan=False) | st.just(float("nan"))
decimals = st.builds(
    lambda digits, exponent: Decimal128(f"{digits}E{exponent}"),
    st.integers(-(10**34) + 1, 10**34 - 1),
    st.integers(-6176, 6111),
) | st.sampled_from(["NaN", "Infinity", "-Infinity", "-0", "0.00"]).map(Decimal128)
leaves = (
    doubles
    | st.text(max_size=40)
    | st.booleans()
    | st.none()
    | st.integers(-(2**31), 2**31 - 1)
    | int64.map(Int64)
    | int64.map(DatetimeMS)
    | st.binary(min_size=12, max_size=12).map(ObjectId)
    | st.builds(Binary, st.binary(max_size=50), st.integers(0, 255))
    | st.builds(Timestamp, uint32, uint32)
    | decimals
    | st.builds(Regex, c_strings, st.sampled_from(["", "i", "imx", "ilmsux"]))
    | st.builds(Code, st.text(max_size=20))
    | st.just(MinKey())
    | st.just(MaxKey())
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(names, inner, max_size=5)
        | st.builds(Code, st.text(max_size=10), st.dictionaries(names, inner, max_size=3))
    ),
    max_leaves=20,
)
documents = st.dictionaries(names, values, max_size=8)


@given(documents)
def test_pymongo_reads_canonical_form_back_to_the_same_bytes(document: dict[str, Any]) -> None:
    encoded = bson.encode(document)
    assert read_back(to_extended_json(encoded, "canonical")) == encoded


@given(documents)
def test_relaxed_form_says_the_same_as_that_of_pymongo(document: dict[str, Any]) -> None:
    options = json_util.JSONOptions(
        json_mode=json_util.JSONMode.RELAXED,
        uuid_representation=UuidRepresentation.UNSPECIFIED,
        datetime_conversion=DatetimeConversion.DATETIME_MS,
    )
    decoded: dict[str, Any] = bson.decode(
        bson.encode(document),
        bson.CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS),
    )
    expected = json_util.dumps(decoded, json_options=options)
    assert json.loads(to_extended_json(bson.encode(document))) == json.loads(expected)
