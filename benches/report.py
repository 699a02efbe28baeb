"""The bench's result as Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drained import Drain
    from latency import Latency
    from reading import Read

#: CPU an event of the yardstick on the machine and day of the floors in `docs/performance.md`.
FLOORS_YARDSTICK_US = 25.0


@dataclass(frozen=True)
class Delayed:
    """A drain with some milliseconds added to each Publish."""

    lanes: int
    slots: int
    delay_ms: int
    drain: Drain


@dataclass
class Report:
    """All that was measured."""

    machine: dict[str, str]
    rounds: list[tuple[Drain, Drain]] = field(default_factory=list)
    """Ours and the loop, taking turns."""
    yardstick_us: float | None = None
    """CPU an event of counting the backlog with pymongo, on this machine and in this hour."""
    work: list[tuple[str, Drain]] = field(default_factory=list)
    """Drains with work to do on each event, by the name of the work; the first is without."""
    reads: list[Read] = field(default_factory=list)
    """Reading from Python, each way by turns."""
    delayed: list[Delayed] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)

    def json(self) -> str:
        """Everything, for machines."""
        return json.dumps(asdict(self), indent=2)

    def markdown(self) -> str:
        """Everything, for people."""
        parts = [_machine(self.machine)]
        if self.rounds:
            parts.append(_rounds(self.rounds))
        if self.yardstick_us:
            parts.append(_yardstick(self.yardstick_us, self.rounds))
        if self.work:
            parts.append(_work(self.work))
        if self.reads:
            parts.append(_reads(self.reads))
        if self.delayed:
            parts.append(_delayed(self.delayed, [ours for ours, _ in self.rounds]))
        if self.latencies:
            parts.append(_latencies(self.latencies))
        return "\n\n".join(parts)


def machine(mongod_version: str) -> dict[str, str]:
    """What it was measured on."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "rustc": _first_line("rustc", "--version"),
        "mongod": mongod_version,
        **{name: _version(name) for name in ("mongo_gcp_stream", "pymongo", "google-cloud-pubsub")},
    }


def write_section(path: Path, name: str, text: str) -> None:
    """Replaces what stands between the two markers of `name` in the file."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _machine(machine: dict[str, str]) -> str:
    return table(("", ""), list(machine.items()))


def _rounds(rounds: Sequence[tuple[Drain, Drain]]) -> str:
    rows = [
        (
            drain.reader,
            f"{drain.cpu_us_per_event:.2f}",
            f"{drain.events_per_second:,.0f}",
            f"{drain.peak_rss_mb:.0f}",
            f"{drain.messages_per_request:.0f}",
            f"{drain.startup_cpu_seconds:.2f}",
        )
        for pair in rounds
        for drain in pair
    ]
    header = ("", "CPU µs/event", "events/s", "peak RSS MB", "messages/request", "start-up CPU s")
    ratio = median(loop.cpu_us_per_event / ours.cpu_us_per_event for ours, loop in rounds)
    return (
        f"### {rounds[0][0].events:,} events of backlog\n\n{table(header, rows)}\n\n"
        f"The loop takes {ratio:.1f} times the CPU an event. In every drain of ours nothing was "
        "lost, nothing came twice, each document's events came in order, and no request had two "
        "ordering keys; the loop promises no order."
    )


def _yardstick(yardstick_us: float, rounds: Sequence[tuple[Drain, Drain]]) -> str:
    ours = median(ours.cpu_us_per_event for ours, _ in rounds)
    return (
        f"Counting the same events with pymongo's `watch` alone, in the same hour, took "
        f"{yardstick_us:.1f} µs an event; it took {FLOORS_YARDSTICK_US:g} where the floors below "
        f"were measured. By that yardstick our {ours:.1f} µs are "
        f"{ours / yardstick_us * FLOORS_YARDSTICK_US:.1f} µs there."
    )


def _work(work: Sequence[tuple[str, Drain]]) -> str:
    costs: dict[str, list[Drain]] = {}
    for name, drain in work:
        costs.setdefault(name, []).append(drain)
    middle = {
        name: median(drain.cpu_us_per_event for drain in drains) for name, drains in costs.items()
    }
    plain = middle[work[0][0]]
    rows = [
        (
            name,
            " ".join(f"{drain.cpu_us_per_event:.2f}" for drain in drains),
            f"{middle[name] - plain:+.2f}",
            f"{median(drain.events_per_second for drain in drains):,.0f}",
            f"{max(drain.peak_rss_mb for drain in drains):.0f}",
        )
        for name, drains in costs.items()
    ]
    header = ("work on each event", "CPU µs/event", "above plain", "events/s", "peak RSS MB")
    return f"### Work on each event\n\n{table(header, rows)}"


def _reads(reads: Sequence[Read]) -> str:
    ways: dict[str, list[Read]] = {}
    for read in reads:
        ways.setdefault(read.way, []).append(read)
    middle = {way: median(read.cpu_us_per_event for read in runs) for way, runs in ways.items()}
    theirs = list(middle.values())[-1]
    rows = [
        (
            way,
            " ".join(f"{read.cpu_us_per_event:.2f}" for read in runs),
            f"{theirs / middle[way]:.1f}",
            f"{max(read.peak_rss_mb for read in runs):.0f}",
        )
        for way, runs in ways.items()
    ]
    header = ("reading from Python", "CPU µs/event", "times less", "peak RSS MB")
    return f"### Reading from Python\n\n{table(header, rows)}"


def _delayed(delayed: Sequence[Delayed], undelayed: Sequence[Drain]) -> str:
    full = median(drain.events_per_second for drain in undelayed) if undelayed else None
    rows = [
        (
            str(run.lanes),
            str(run.slots),
            f"{run.drain.events_per_second:,.0f}",
            f"{run.drain.events_per_second / full:.0%}" if full else "",
            f"{run.drain.messages_per_request:.0f}",
            f"{run.drain.peak_rss_mb:.0f}",
            f"{run.drain.cpu_us_per_event:.2f}",
        )
        for run in delayed
    ]
    header = (
        "lanes",
        "slots",
        "events/s",
        "of undelayed",
        "messages/request",
        "peak RSS MB",
        "CPU µs/event",
    )
    return f"### {delayed[0].delay_ms} ms added to each Publish\n\n{table(header, rows)}"


def _latencies(latencies: Sequence[Latency]) -> str:
    rows = [
        (
            f"{run.inserts_per_second:g}",
            f"{run.inserts:,}",
            f"{run.p50_ms:.1f}",
            f"{run.p99_ms:.1f}",
            f"{run.insert_p50_ms:.1f}",
            f"{run.insert_p99_ms:.1f}",
        )
        for run in latencies
    ]
    header = ("inserts/s", "inserts", "p50 ms", "p99 ms", "of it insert p50", "of it insert p99")
    return (
        f"### From insert to Publish\n\n{table(header, rows)}\n\n"
        "From the moment before the insert (`w: majority`) to the moment when the fake took the "
        "message, default settings."
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _first_line(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return output.splitlines()[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
