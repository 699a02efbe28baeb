"""The live table of `mongo-gcp-stream run`: what each stream does, the worst ones first."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mongo_gcp_stream.cli.terminal import LinesAbove, log_shares_the_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["INTERVAL_SECONDS", "LiveTable", "StreamRow", "render"]

#: How often it is drawn anew.
INTERVAL_SECONDS = 0.5

#: Lines that are not rows: the heads, the rule below them, the summary, the last error on two
#: lines, and one for the prompt.
_OTHER_LINES = 7

#: From what an operator has to look at to what needs nobody.
_SEVERITY = ("failed", "backing_off", "paused", "starting", "streaming", "stopped")

_COLOURS = {"failed": "red", "backing_off": "yellow", "paused": "yellow", "streaming": "green"}


class StreamRow(Protocol):
    """What the table shows of a stream: attributes of the core's `StreamStatistics`."""

    @property
    def state(self) -> str:
        """One of `_SEVERITY`."""
        ...

    @property
    def events_per_second(self) -> float:
        """Events acknowledged by Pub/Sub a second."""
        ...

    @property
    def bytes_per_second(self) -> float:
        """Bytes of BSON a second."""
        ...

    @property
    def lag(self) -> float | None:
        """Seconds behind the cluster; `None` before it is known."""
        ...

    @property
    def in_flight(self) -> int:
        """Events that were read and are not yet acknowledged."""
        ...

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        ...

    @property
    def last_error(self) -> str | None:
        """What went wrong last."""
        ...

    @property
    def last_error_time(self) -> float | None:
        """When, in seconds since the epoch."""
        ...


def render(
    streams: Mapping[str, StreamRow], *, height: int, now: float, draining: bool = False
) -> Group:
    """Lay out summary, table and last error for a terminal of `height` lines.

    Args:
        streams: What to show, by the streams' names.
        height: Lines of the terminal; more streams than fit are left to the summary.
        now: Seconds since the epoch.
        draining: A signal has come: say what happens next.
    """
    worst = sorted(streams.items(), key=_urgency)
    shown = worst[: max(1, height - _OTHER_LINES)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("stream", no_wrap=True, overflow="ellipsis")
    table.add_column("state", no_wrap=True)
    for head in ("events/s", "lag", "in flight", "retries"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, row in shown:
        table.add_row(
            Text(name),
            Text(row.state.replace("_", " "), style=_COLOURS.get(row.state, "")),
            f"{row.events_per_second:,.0f}",
            _seconds(row.lag),
            f"{row.in_flight:,}",
            f"{row.retries:,}",
        )
    parts: list[Text | Table] = [
        _summary(list(streams.values()), hidden=len(worst) - len(shown)),
        table,
    ]
    if draining:
        parts.insert(
            0,
            Text(
                "draining: what was read is published, then the positions are stored; "
                "a second signal exits at once",
                style="bold yellow",
                overflow="ellipsis",
                no_wrap=True,
            ),
        )
    if error := _last_error(streams, now):
        parts.append(error)
    return Group(*parts)


class LiveTable:
    """The table while a run goes on, and the log lines above it.

    Args:
        streams: Gives what to show; asked at each drawing.
    """

    def __init__(self, streams: Callable[[], Mapping[str, StreamRow]]) -> None:
        self._streams = streams
        self._draining = False
        self._gone = False
        self._console = Console(file=sys.stdout)
        self._live = Live(
            get_renderable=self._look,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    @contextlib.contextmanager
    def shown(self) -> Iterator[LiveTable]:
        """Show it for as long as the block runs; what it showed last stays on the screen."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(self._live)
            # A second signal ends the process at once: the terminal is to be as it was before.
            self._console.show_cursor()
            if log_shares_the_terminal():
                stack.enter_context(LinesAbove(self._print))
            yield self

    def draining(self) -> None:
        """Say from now on that a signal has come."""
        self._draining = True

    def refresh(self) -> None:
        """Draw it anew."""
        if self._gone:
            return
        try:
            self._live.refresh()
        except OSError:
            # The terminal was closed. The streams go on until a signal tells them otherwise.
            self._gone = True

    def _look(self) -> Group:
        return render(
            self._streams(),
            height=self._console.size.height,
            now=time.time(),
            draining=self._draining,
        )

    def _print(self, lines: list[str]) -> None:
        if not self._gone:
            with contextlib.suppress(OSError):
                self._console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)


def _urgency(named: tuple[str, StreamRow]) -> tuple[int, float, int, str]:
    name, row = named
    state = _SEVERITY.index(row.state) if row.state in _SEVERITY else 0
    return state, -(row.lag or 0.0), -row.retries, name


def _summary(rows: Sequence[StreamRow], *, hidden: int) -> Text:
    """Tell of all streams in one line, so that those without a row are told of as well."""
    states = [row.state for row in rows]
    counted = [
        f"{states.count(state)} {state.replace('_', ' ')}" for state in _SEVERITY if state in states
    ]
    lags = [row.lag for row in rows if row.lag is not None]
    streams = f"{len(rows)} {'stream' if len(rows) == 1 else 'streams'}"
    if hidden:
        streams += f" (below: the {len(rows) - hidden} that need attention most)"
    said = (
        f"{streams}: {', '.join(counted)}",
        f"{sum(row.events_per_second for row in rows):,.0f} events/s",
        f"{sum(row.bytes_per_second for row in rows) / 1e6:,.1f} MB/s",
        f"longest lag {_seconds(max(lags, default=None))}",
        f"{sum(row.in_flight for row in rows):,} in flight",
    )
    return Text(" · ".join(said), style="bold", overflow="ellipsis", no_wrap=True)


def _last_error(streams: Mapping[str, StreamRow], now: float) -> Text | None:
    """The error that happened last, of whichever stream."""
    errors = [
        (row.last_error_time, name, row.last_error)
        for name, row in streams.items()
        if row.last_error and row.last_error_time is not None
    ]
    if not errors:
        return None
    when, name, message = max(errors)
    ago = _seconds(max(0.0, now - when))
    text = Text.assemble(("last error ", "bold red"), f"{name}, {ago} ago: {message}")
    text.truncate(400, overflow="ellipsis")
    return text


def _seconds(seconds: float | None) -> str:
    """A duration in the unit that reads best; `?` for one that is not known."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    raise AssertionError(seconds)
