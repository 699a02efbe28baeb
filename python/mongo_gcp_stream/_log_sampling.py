"""Leaving log records out, by rule."""

from __future__ import annotations

import logging
import random
import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Rule = float | str

_A_SECOND = re.compile(r"([1-9][0-9]*)/s")

#: A clock that goes back by more than this many seconds was set; by less, records came late.
_LATE = 5


class Sampling(logging.Filter):
    """A filter that keeps what its rules say, and every error.

    Args:
        rules: By the name of a logger, which stands for those below it as well; the longest name
            that fits counts. See `configure_logging`.

    Raises:
        ValueError: A rule is neither a share nor a number a second.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self._rules = {name: _rule(name, rule) for name, rule in rules.items()}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        if record.levelno >= logging.ERROR:
            return True
        rule = self._rule(record.name)
        return rule is None or rule.keeps(record)

    def _rule(self, name: str) -> _Share | _Limit | None:
        while name not in self._rules:
            if not name:
                return None
            name = name.rpartition(".")[0]
        return self._rules[name]


class _Share:
    """Keeps a part of what is below WARNING, at random: a rare warning is not lost by chance."""

    def __init__(self, share: float) -> None:
        self._share = share

    def keeps(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or random.random() < self._share  # noqa: S311 -- no secret


class _Limit:
    """Keeps the first records of each second; the next tells how many were left out."""

    def __init__(self, a_second: int) -> None:
        self._a_second = a_second
        self._lock = threading.Lock()
        self._second = 0
        self._kept = 0
        self._left_out = 0

    def keeps(self, record: logging.LogRecord) -> bool:
        second = int(record.created)
        with self._lock:
            if not self._second - _LATE <= second <= self._second:
                self._second, self._kept = second, 0
            if self._kept == self._a_second:
                self._left_out += 1
                return False
            self._kept += 1
            left_out, self._left_out = self._left_out, 0
        if left_out:
            record.left_out = left_out
        return True


def _rule(name: str, rule: Rule) -> _Share | _Limit:
    if isinstance(rule, str):
        limit = _A_SECOND.fullmatch(rule)
        if limit:
            return _Limit(int(limit[1]))
    elif not isinstance(rule, bool) and isinstance(rule, (int, float)) and 0 <= rule <= 1:
        return _Share(rule)
    message = f'sampling of {name!r}: expected a share from 0 to 1, or a text such as "10/s"'
    raise ValueError(message)
