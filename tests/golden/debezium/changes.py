"""The changes that are recorded: what is written, and under which name."""

from __future__ import annotations

import datetime as dt
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from bson import (
    Binary,
    Code,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    encode,
)
from bson.raw_bson import RawBSONDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo import MongoClient
    from pymongo.collection import Collection

    Change = tuple[str, int, Callable[[], object]]

ID = ObjectId("65a000000000000000000001")


def every_type() -> dict[str, Any]:
    """A document with a field of each type that the driver writes."""
    day = dt.datetime(2026, 1, 31, 12, 0, 0, 250_000, dt.timezone.utc)
    early = dt.datetime(1901, 2, 3, 4, 5, 6, 789_000, dt.timezone.utc)
    return {
        "_id": "types",
        "int32": [0, 1, -1, 2_147_483_647, -2_147_483_648],
        "int64": [Int64(0), Int64(1), Int64(9_223_372_036_854_775_807), Int64(-(2**63))],
        "double": [0.0, -0.0, 1.0, -1.5, 0.1, 100.0, 0.001, 9_999_999.0, 1234.5678],
        "double_exponent": [1e7, 0.0001, 1e21, 1.25e-7, 5e-324, 1.7976931348623157e308],
        "double_special": [float("nan"), float("inf"), float("-inf")],
        "decimal": [Decimal128(text) for text in ("1.50", "-0", "1E+3", "NaN", "Infinity")],
        "date": [day, dt.datetime(2026, 1, 31, tzinfo=dt.timezone.utc), early],
        "binary": [Binary(b""), Binary(b"\x00\x01\xfe\xff"), Binary(b"a", 128), Binary(b"b", 2)],
        "uuid": Binary.from_uuid(uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
        "regex": [Regex('^a/b"', "i"), Regex("x", "mi"), Regex("", "")],
        "timestamp": [Timestamp(1, 2), Timestamp(4_294_967_295, 4_294_967_294)],
        "code": [Code('f("x")'), Code("g()", {"x": 1, "y": {"z": []}})],
        "key": [MinKey(), MaxKey()],
        "boolean": [True, False],
        "null": None,
        "nested": {"array": [1, [2, [3, {"a": []}]], {}], "empty": {}, "list": []},
        "reference": {"$ref": "other", "$id": ID, "$db": "shop"},
    }


def old_types() -> RawBSONDocument:
    """Symbol and undefined, which the driver reads but does not write."""
    body = encode({"_id": "old types"})[4:-1]
    body += b"\x0esymbol\x00\x03\x00\x00\x00ab\x00" + b"\x06undefined\x00"
    pointer = b"\x04\x00\x00\x00a.b\x00" + ID.binary
    body += b"\x0cpointer\x00" + pointer
    return RawBSONDocument((len(body) + 5).to_bytes(4, "little") + body + b"\x00")


def texts() -> dict[str, Any]:
    """Text that JSON escapes, twice."""
    return {
        "_id": "texts",
        "plain": 'a "quoted" \\ back/slash',
        "control": "\b\t\n\f\r\x01\x1f\x7f",
        "letters": "äß€ жы 漢字",
        "beyond": "😀 e\u0301 \u200b \u2028 \ue000 \u02b0",
        'na"me\\ é\n': 1,
    }


def all_changes(client: MongoClient[Any]) -> Iterator[Change]:
    """Name, number of events, and the change itself."""
    orders = client["shop"]["orders"]
    # Long enough that an update is told as a difference.
    first = {"_id": ID, "n": 1, "tags": [1, 2, 3, 4], "text": "lorem ipsum " * 30}
    yield "insert", 1, lambda: orders.insert_one(first)
    yield from _updates(orders)
    yield "replace", 1, lambda: orders.replace_one({"_id": ID}, {"n": Int64(7), "new": True})
    yield "delete", 1, lambda: orders.delete_one({"_id": ID})
    yield "insert every type", 1, lambda: orders.insert_one(every_type())
    changed = {f"changed.{key}": value for key, value in every_type().items() if key != "_id"}
    yield "update every type", 1, lambda: orders.update_one({"_id": "types"}, {"$set": changed})
    yield "insert old types", 1, lambda: orders.insert_one(old_types())
    yield "insert texts", 1, lambda: orders.insert_one(texts())
    copied = {"$set": {"copy": texts()["control"] + texts()["letters"] + texts()["plain"]}}
    yield "update texts", 1, lambda: orders.update_one({"_id": "texts"}, copied)
    yield "insert empty", 1, lambda: orders.insert_one({"_id": "empty"})
    yield from _ids(orders)
    yield "transaction", 3, lambda: _transaction(client)


def _updates(orders: Collection[Any]) -> Iterator[Change]:
    changes: dict[str, Any] = {
        "update set": {"$set": {"n": 2, "nested.a.b": "x", "when": Timestamp(5, 6)}},
        "update unset": {"$unset": {"n": 1, "nested.a.b": 1}},
        "update array": {"$push": {"tags": 5}},
        "update truncates": [{"$set": {"tags": {"$slice": ["$tags", 2]}}}],
        "update all at once": [
            {"$set": {"tags": {"$slice": ["$tags", 1]}, "b": None}},
            {"$unset": "when"},
        ],
    }
    for name, change in changes.items():
        yield name, 1, partial(orders.update_one, {"_id": ID}, change)


def _ids(orders: Collection[Any]) -> Iterator[Change]:
    ids: dict[str, Any] = {
        "int32": 42,
        "int64": Int64(2**53),
        "double": 1.0,
        "text": 'a "quoted" é',
        "document": {"a": 1, "b": {"c": ID}},
        "uuid": Binary.from_uuid(uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
        "date": dt.datetime(2026, 1, 31, tzinfo=dt.timezone.utc),
        "decimal": Decimal128("1.5"),
        "boolean": True,
        "null": None,
    }
    for name, value in ids.items():
        yield f"insert {name} id", 1, partial(orders.insert_one, {"_id": value})
    for name, value in ids.items():
        yield f"delete {name} id", 1, partial(orders.delete_one, {"_id": value})


def _transaction(client: MongoClient[Any]) -> None:
    orders = client["shop"]["orders"]
    with client.start_session() as session, session.start_transaction():
        orders.insert_one({"_id": "t1"}, session=session)
        orders.insert_one({"_id": "t2"}, session=session)
        orders.update_one({"_id": "t1"}, {"$set": {"n": 1}}, session=session)


def simple_changes(client: MongoClient[Any], tag: str) -> Iterator[Change]:
    """One of each kind: for the capture modes that are not the default."""
    orders = client["shop"]["orders"]
    yield f"insert {tag}", 1, lambda: orders.insert_one({"_id": tag, "n": 1})
    change = {"$set": {"n": 2}}
    yield f"update {tag}", 1, lambda: orders.update_one({"_id": tag}, change)
    yield f"replace {tag}", 1, lambda: orders.replace_one({"_id": tag}, {"n": 3})
    yield f"delete {tag}", 1, lambda: orders.delete_one({"_id": tag})
