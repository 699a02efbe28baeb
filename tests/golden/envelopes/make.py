"""Writes the golden files of the envelopes from the cases below.

`expected` is what the program makes of each: look at the difference before it is committed.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bson
from bson import json_util
from mongo_gcp_stream import MongoGcpStreamError
from mongo_gcp_stream._core import __version__, transform_event

NOW_MS = 1_800_000_000_123
#: Debezium's events tell the version of who wrote them.
VERSION = '"version":"{version}"'

CONFIG = """\
mongodb:
  connections:
    main:
      uri: mongodb://localhost
      sources:
        orders:
          {source}
gcp: {{project_id: some-project}}
pubsub:
  envelope: {envelope}
  topics: {{default: {{name: shop-changes{topic}}}}}{pubsub}
checkpoint: {{store: memory}}
"""

ID = bson.ObjectId("65f1c2a0000000000000000a")
ORDER = {"_id": ID, "customer": "Ada", "total": 9.5, "revision": 2}
DELTA = {"updatedFields": {"revision": 2}, "removedFields": ["draft"], "truncatedArrays": []}
NESTED = {
    "_id": {"region": "eu", "number": bson.Int64(7)},
    "items": [{"sku": "a", "tags": [[], {}]}, None, True],
    "at": datetime(2026, 1, 31, 0, 0, 0, 250_000, tzinfo=timezone.utc),
    "long ago": bson.datetime_ms.DatetimeMS(-62_200_000_000_000),
    "big": bson.Int64(9007199254740993),
    "price": bson.Decimal128("10.25"),
    "nan": float("nan"),
    "low": float("-inf"),
    "raw": b"\xff\xfe",
    "uuid": bson.Binary(bytes(range(16)), 4),
    "stamp": bson.Timestamp(1_700_000_000, 3),
    "regex": bson.Regex("^a/b", "i"),
    "code": bson.Code("f()"),
    "scoped": bson.Code("g()", {"x": 1}),
    "reference": bson.ObjectId("65f1c2a0000000000000000b"),
    "min": bson.MinKey(),
    "max": bson.MaxKey(),
}
UNICODE = {"_id": "Ünï/✓ \U0001f600", "línea": 'a "quoted"\ttext\n\u2028', "漢字": "\u0000"}


def event(operation: str, document: Any = ..., **more: Any) -> dict[str, Any]:
    """A change event; an ellipsis as a value leaves the field out."""
    made: dict[str, Any] = {
        "_id": {"_data": "826B03969A000000172B022C0100296E5A1004"},
        "operationType": operation,
        "clusterTime": bson.Timestamp(1_795_397_274, 23),
        "wallTime": datetime(2026, 11, 23, 1, 27, 54, 84_000, tzinfo=timezone.utc),
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": document["_id"] if isinstance(document, dict) else ID},
    }
    if document is not ...:
        made["fullDocument"] = document
    made |= more
    return {name: value for name, value in made.items() if value is not Ellipsis}


ABOUT_NONE = {"documentKey": ...}
RENAMED = {"db": "shop", "coll": "orders of 2025"}
GONE = event("update", None, updateDescription=DELTA)

#: Name, event, keys of the source and of `pubsub`.
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("insert", event("insert", ORDER), "", ""),
    ("update, looked up", event("update", ORDER, updateDescription=DELTA), "", ""),
    (
        "update with the stored image",
        event("update", ORDER, updateDescription=DELTA),
        "full_document: required",
        "",
    ),
    ("update of a document that is gone", GONE, "", ""),
    (
        "update of a document that is gone, key only",
        GONE,
        "on_missing_document: key_only",
        "",
    ),
    ("update of a document that is gone, dropped", GONE, "on_missing_document: drop", ""),
    (
        "update without an image, key only",
        event("update", updateDescription=DELTA),
        "full_document: default, on_missing_document: key_only",
        "",
    ),
    ("replace", event("replace", ORDER), "", ""),
    ("delete", event("delete"), "", ""),
    ("drop", event("drop", **ABOUT_NONE), "", ""),
    ("rename", event("rename", to=RENAMED, **ABOUT_NONE), "", ""),
    ("drop of the database", event("dropDatabase", ns={"db": "shop"}, **ABOUT_NONE), "", ""),
    ("invalidate", event("invalidate", ns=..., **ABOUT_NONE), "", ""),
    ("nested and of every type, relaxed", event("insert", NESTED), "", ""),
    ("nested and of every type, canonical", event("insert", NESTED), "", "json_mode: canonical"),
    ("nested and of every type, simplified", event("insert", NESTED), "", "json_mode: simplified"),
    ("delete, canonical", event("delete", documentKey={"_id": 7}), "", "json_mode: canonical"),
    ("delete, simplified", event("delete"), "", "json_mode: simplified"),
    ("unicode", event("insert", UNICODE, ns={"db": "shöp", "coll": "a b/c%"}), "", ""),
    ("without wallTime", event("insert", ORDER, wallTime=...), "", ""),
    (
        "enriched and protected",
        event("insert", ORDER),
        "enrich: {metadata: true}, protect: [{path: customer, action: mask}]",
        "",
    ),
    ("ordered by document", event("insert", ORDER), "", "ordering: document"),
]

SCHEMA = Path(__file__).parents[3] / "config" / "schema.json"
#: What an envelope needs of its topic.
TOPICS = {"bigquery_cdc": ", bigquery: {dataset: shop, table: orders}"}


def case(envelope: str, name: str, made: dict[str, Any], source: str, pubsub: str) -> Any:
    """One case of a golden file; `None` where the envelope refuses it."""
    source = (
        "{"
        + ", ".join(part for part in ("database: shop, collection: orders", source) if part)
        + "}"
    )
    pubsub = f"\n  {pubsub}" if pubsub else ""
    topic = TOPICS.get(envelope, "")
    config = CONFIG.format(envelope=envelope, source=source, topic=topic, pubsub=pubsub)
    try:
        sent = transform_event(config, "main.orders", bson.encode(made), NOW_MS)
    except MongoGcpStreamError:
        return None
    options = json_util.CANONICAL_JSON_OPTIONS
    return {
        "name": name,
        "config": config,
        "event": json.loads(json_util.dumps(made, json_options=options)),
        "now_ms": NOW_MS,
        "expected": [
            {
                "topic": topic,
                "data": data.decode().replace(f'"version":"{__version__}"', VERSION),
                "attributes": attributes,
                "ordering_key": key,
            }
            for topic, data, attributes, key in sent
        ],
    }


def main() -> None:
    """Write all files."""
    envelopes = json.loads(SCHEMA.read_text())["$defs"]["Envelope"]["oneOf"]
    for envelope in (choice["const"] for choice in envelopes):
        cases = [made for each in CASES if (made := case(envelope, *each))]
        text = json.dumps(cases, ensure_ascii=False, indent=1)
        Path(__file__).with_name(f"{envelope}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
