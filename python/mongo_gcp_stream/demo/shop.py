"""A shop that takes and changes orders at a steady rate."""

from __future__ import annotations

import random
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

_CUSTOMERS = ("Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov")
_STATES = ("paid", "packed", "shipped", "delivered")
_PRODUCTS = ("lamp", "chair", "desk", "shelf", "clock", "rug")
#: Orders that are still changed: few enough that each gets several changes.
_OPEN_ORDERS = 40


class Shop:
    """Writes orders in a thread: each insert or update is one change.

    Every document carries `revision`, 1 when inserted and one more with each update, and
    `written_at_ms`, the clock when its last write began: the account is checked against both.

    Attributes:
        inserted: Orders inserted so far.
        updated: Updates so far.
    """

    def __init__(self, uri: str, events: int, rate: float) -> None:
        self._events = events
        self._interval = 1 / rate
        self._random = random.Random(7)  # noqa: S311 - orders, not secrets
        self._client = MongoClient[dict[str, Any]](uri)
        # A change is visible to change streams once a majority has it: with w=1 the time to the
        # journal flush would count as latency of the stream.
        self._orders = self._client.shop.get_collection(
            "orders", write_concern=WriteConcern(w="majority")
        )
        self._open: list[tuple[ObjectId, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="shop")
        self.inserted: int = 0
        self.updated: int = 0
        self.failed: PyMongoError | None = None

    @property
    def written(self) -> int:
        """Changes acknowledged by the server."""
        return self.inserted + self.updated

    @property
    def finished(self) -> bool:
        """Whether it has written everything it was asked to."""
        return self.written >= self._events

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the write that is under way, then stop."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._client.close()

    def _write_all(self) -> None:
        due = time.monotonic()
        try:
            for _ in range(self._events):
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                self._write()
                due += self._interval
        except PyMongoError as error:
            self.failed = error

    def _write(self) -> None:
        if len(self._open) < _OPEN_ORDERS or self._random.random() < 0.3:
            order = self._new_order()
            self._orders.insert_one(order)
            self._open.append((order["_id"], 1))
            self.inserted += 1
            return
        place = self._random.randrange(len(self._open))
        number, revision = self._open[place]
        self._orders.update_one({"_id": number}, {"$set": self._change(revision + 1)})
        self.updated += 1
        if revision >= len(_STATES):
            del self._open[place]
        else:
            self._open[place] = (number, revision + 1)

    def _change(self, revision: int) -> Mapping[str, Any]:
        return {
            "status": _STATES[min(revision, len(_STATES)) - 1],
            "revision": revision,
            "written_at_ms": time.time() * 1000,
        }

    def _new_order(self) -> dict[str, Any]:
        items = [
            {
                "product": self._random.choice(_PRODUCTS),
                "quantity": self._random.randint(1, 4),
                "price": Decimal128(Decimal(self._random.randint(199, 99_900)).scaleb(-2)),
            }
            for _ in range(self._random.randint(1, 5))
        ]
        return {
            "_id": ObjectId(),
            "customer": {"name": self._random.choice(_CUSTOMERS), "country": "GB"},
            "items": items,
            **self._change(1),
        }
