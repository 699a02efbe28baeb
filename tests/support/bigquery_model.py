"""A model of how BigQuery applies rows of change data capture.

From BigQuery's page "Stream table updates with change data capture": of the rows of one primary key
the one with the highest `_CHANGE_SEQUENCE_NUMBER` counts, in whatever order they arrive; its groups
of hex digits are compared one after the other, as numbers.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_GROUP = re.compile(r"[0-9A-Fa-f]{1,16}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_MOST_GROUPS = 4

Number = tuple[int, ...]


def sequence(number: str) -> Number:
    """Return a sequence number as what is compared.

    Raises:
        ValueError: BigQuery would not take it.
    """
    groups = number.split("/")
    if len(groups) > _MOST_GROUPS or not all(_GROUP.fullmatch(group) for group in groups):
        msg = f"not a sequence number: {number!r}"
        raise ValueError(msg)
    return tuple(int(group, 16) for group in groups)


class Table:
    """A table with a primary key that is not enforced."""

    def __init__(self, *key: str) -> None:
        """Create it empty, with the columns of its key (`_id` by default)."""
        self._key = key or ("_id",)
        self._highest: dict[tuple[Any, ...], Number] = {}
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def apply(self, data: bytes) -> None:
        """Apply the data of one message.

        Raises:
            ValueError: Pub/Sub could not write it to a table.
        """
        row = json.loads(data)
        change, number = row.pop("_CHANGE_TYPE"), sequence(row.pop("_CHANGE_SEQUENCE_NUMBER"))
        _check_columns(row)
        key = tuple(row[column] for column in self._key)
        if change not in ("UPSERT", "DELETE") or any(isinstance(part, list | dict) for part in key):
            msg = f"not a change: {change!r}"
            raise ValueError(msg)
        if number <= self._highest.get(key, ()):
            return
        # A deleted row keeps its number: what is older must not bring it back.
        self._highest[key] = number
        if change == "UPSERT":
            self._rows[key] = row
        else:
            self._rows.pop(key, None)

    def apply_all(self, messages: Iterable[bytes]) -> None:
        """Apply several messages, in this order."""
        for data in messages:
            self.apply(data)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What a query sees, ordered by key."""
        return [self._rows[key] for key in sorted(self._rows, key=repr)]


def _check_columns(row: dict[str, Any]) -> None:
    """Refuse names that BigQuery refuses, also two that differ in case only."""
    lower = [name.lower() for name in row]
    if len(set(lower)) < len(lower) or not all(map(_COLUMN.fullmatch, row)):
        msg = f"not columns of one table: {sorted(row)}"
        raise ValueError(msg)
    if any(isinstance(value, list | dict) for value in row.values()):
        msg = "a nested value that is not JSON in a text"
        raise ValueError(msg)
