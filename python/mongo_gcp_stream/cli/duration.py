"""Durations as people write them, the same as in the configuration."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    _Milliseconds = click.ParamType[int]
else:
    # Generic only in the newest versions of click.
    _Milliseconds = click.ParamType

#: As `src/config/units.rs` has them; a bare number is in seconds.
MILLIS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1, "": 1000}

_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|)\s*")
#: What the core counts milliseconds in.
_LARGEST = 2**64 - 1


class Duration(_Milliseconds):
    """``250ms``, ``30s``, ``5m``, ``1h``, or a bare number of seconds; gives milliseconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse what was given on the command line."""
        parts = _FORM.fullmatch(str(value))
        millis = Fraction(parts[1]) * MILLIS[parts[2]] if parts else Fraction(-1)
        if millis.denominator != 1 or not 0 <= millis <= _LARGEST:
            self.fail(f"{value!r} is no duration such as 250ms, 30s or 5m", param, ctx)
        return int(millis)
