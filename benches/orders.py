"""The documents that the benchmark writes: orders of about 1 KB of BSON, the same in every run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from random import Random
from typing import Any

from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

_BASKETS = 1024
_FIRST_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)
_NAMES = ("Ada", "Barbara", "Edsger", "Grace", "Ken", "Leslie", "Margaret", "Radia")
_FAMILIES = ("Dijkstra", "Hamilton", "Hopper", "Lamport", "Liskov", "Lovelace", "Perlman")
_CITIES = (("Berlin", "DE"), ("Lyon", "FR"), ("Oslo", "NO"), ("Porto", "PT"), ("Turin", "IT"))
_GOODS = (
    "desk lamp, brushed brass, 40 cm",
    "notebook, dotted, 192 pages",
    "espresso cup, stoneware",
    "blanket, merino wool, grey",
    "wall shelf, oiled oak, 80 cm",
)


def order(number: int) -> dict[str, Any]:
    """The order with this number: nested customer, five line items, Decimal128, dates, ObjectIds.

    The `_id` is made from the number, so that a backlog can be written again anywhere.
    """
    placed = _FIRST_DAY + timedelta(seconds=number)
    return {
        "_id": ObjectId(f"{number:024x}"),
        "number": number,
        "status": "placed",
        "placed_at": placed,
        "updated_at": placed,
        **_basket(number % _BASKETS),
    }


def shipped(number: int) -> dict[str, Any]:
    """The same order a day later: what replaces it, so that a document has two events in order."""
    document = order(number)
    document["status"] = "sent"
    document["updated_at"] = document["placed_at"] + timedelta(days=1)
    return document


@cache
def _basket(kind: int) -> dict[str, Any]:
    """Who bought what; one of a few, so that writing a backlog takes seconds."""
    chance = Random(kind)
    items = [_item(chance) for _ in range(5)]
    total = sum(item["quantity"] * item.pop("cents") for item in items)
    return {
        "customer": _customer(chance),
        "items": items,
        "total": _money(total),
        "currency": "EUR",
        "paid": chance.random() < 0.9,
        "weight_kg": round(chance.uniform(0.1, 30.0), 3),
        "note": "Please ring twice. If nobody answers, leave it with the neighbour on the left.",
    }


def _customer(chance: Random) -> dict[str, Any]:
    first, family = chance.choice(_NAMES), chance.choice(_FAMILIES)
    city, country = chance.choice(_CITIES)
    return {
        "_id": _object_id(chance),
        "name": f"{first} {family}",
        "email": f"{first}.{family}@example.com".lower(),
        "since": _FIRST_DAY - timedelta(days=chance.randrange(3000)),
        "address": {
            "street": f"{chance.randrange(1, 200)} Harbour Street",
            "city": city,
            "zip": f"{chance.randrange(10_000, 99_999)}",
            "country": country,
        },
    }


def _item(chance: Random) -> dict[str, Any]:
    cents = chance.randrange(199, 19_999)
    return {
        "sku": f"SKU-{chance.randrange(10**6):06}",
        "title": chance.choice(_GOODS),
        "quantity": chance.randrange(1, 6),
        "price": _money(cents),
        "cents": cents,
    }


def _money(cents: int) -> Decimal128:
    return Decimal128(f"{cents // 100}.{cents % 100:02d}")


def _object_id(chance: Random) -> ObjectId:
    return ObjectId(chance.randbytes(12))
