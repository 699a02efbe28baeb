"""Durations as people write them, the same as in the configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    _Milliseconds = click.ParamType[int]
else:
    # Generic only in the newest versions of click.
    _Milliseconds = click.ParamType

_MILLIS = {"ms": 1, "": 1000, "s": 1000, "m": 60_000, "h": 3_600_000}


class Duration(_Milliseconds):
    """``250ms``, ``30s``, ``5m``, ``1h``, or a bare number of seconds; gives milliseconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse what was given on the command line."""
        parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", str(value))
        if parts is None:
            self.fail(f"{value!r} is no duration such as 250ms, 30s or 5m", param, ctx)
        return round(float(parts[1]) * _MILLIS[parts[2]])
