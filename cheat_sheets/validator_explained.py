"""DocumentValidator, explained.

Runs as it stands: python cheat_sheets/validator_explained.py
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from bson import Decimal128, ObjectId
from mongo_gcp_stream.errors import ConfigError, ValidationError
from mongo_gcp_stream.validator import DocumentValidator

# ==== API ====
#
# DocumentValidator(schemas)
#     schemas: {"<connection>.<source>": {"<dotted path>": {rule: value}}}, as in config.yaml.
#     A mistake in it is a ConfigError with .path, at once.
# .transform_document(stream_id, doc) -> dict
#     A copy with _metadata; ValidationError (a ValueError) with .errors, one "path: rule" each.
# .prepare_for_pubsub(doc, operation_type) -> {"data": bytes, "attributes": {...}}
#     Relaxed Extended JSON, and the attributes operation and timestamp.
#
# Rules: type (string number boolean date object array), required, nullable, min, max, min_length,
# max_length, pattern, enum, and, in Python alone, validation: a callable.

SCHEMAS: dict[str, dict[str, dict[str, Any]]] = {
    "main.orders": {
        "number": {"type": "number", "required": True, "min": 1},
        "status": {"type": "string", "enum": ["placed", "paid", "sent"]},
        "placed_at": {"type": "date", "min": datetime(2020, 1, 1, tzinfo=timezone.utc)},
        "customer.email": {"type": "string", "pattern": "^[^@ ]+@[^@ ]+$", "max_length": 254},
        "coupon": {"type": "string", "nullable": True},
        "items": {"type": "array", "min_length": 1},
        # The first of the items, if there is one.
        "items.0.sku": {"type": "number", "required": True},
    }
}


def an_order() -> dict[str, Any]:
    """An order that keeps all rules, with types that plain JSON has not."""
    return {
        "_id": ObjectId(),
        "number": 7,
        "status": "placed",
        "placed_at": datetime.now(timezone.utc),
        "customer": {"email": "ann@example.org"},
        "coupon": None,
        "items": [{"sku": 1, "price": Decimal128("9.90")}],
    }


# ==== Patterns ====


def check_and_prepare() -> None:
    """A document that keeps the rules becomes a message."""
    validator = DocumentValidator(SCHEMAS)
    checked = validator.transform_document("main.orders", an_order())
    print("_metadata:", checked["_metadata"])
    message = validator.prepare_for_pubsub(checked, "insert")
    print("data:", message["data"].decode())
    print("attributes:", message["attributes"])


def see_what_is_wrong() -> None:
    """All broken rules are told at once, and no value."""
    validator = DocumentValidator(SCHEMAS)
    wrong = an_order() | {"number": "7", "status": "lost", "items": []}
    try:
        validator.transform_document("main.orders", wrong)
    except ValidationError as error:
        print("broken:", error.errors)


def ask_a_callable() -> None:
    """What no other rule can say. It runs in Python for every document: keep it short."""

    def is_even(value: int) -> bool:
        return value % 2 == 0

    validator = DocumentValidator({"main.orders": {"n": {"type": "number", "validation": is_even}}})
    validator.transform_document("main.orders", {"n": 2})
    # It is not asked about values that break the field's other rules: no TypeError here.
    for value in (3, "3"):
        try:
            validator.transform_document("main.orders", {"n": value})
        except ValidationError as error:
            print("callable:", error.errors)


# ==== Best practices ====
#
# - One validator for the life of the program: rules are compiled when it is made.
# - Make it at the start, so that a mistake in a rule is found before the first document.
# - Give min and max a type: without it a text is compared with a date, and is never within.
# - `required` and `nullable` are two rules: a field that is there and null is not missing.
# - Log error.errors as they are: they hold paths and rules, never values.
# - A stream without rules takes every document: check the stream's name in a test.


def find_mistakes_early() -> None:
    """A wrong rule names its key, with what was meant."""
    try:
        DocumentValidator({"main.orders": {"number": {"type": "numbr"}}})
    except ConfigError as error:
        print("configuration:", error)


if __name__ == "__main__":
    check_and_prepare()
    see_what_is_wrong()
    ask_a_callable()
    find_mistakes_early()
