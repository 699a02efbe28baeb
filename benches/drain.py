"""The benchmark: `make bench`; for a look `python benches/drain.py --events 5000 --print-only`.

Five parts: the same backlog drained by us and by a plain pymongo loop, taking turns; drained by us
with work to do on each event and without, taking turns; read from Python by our manager and by
pymongo, taking turns; drained by us with 20 ms added to each Publish, for several numbers of lanes
and slots; and the latency from an insert to its Publish.
`benches/README.md` says how each figure is made.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import backlog
from drained import Drain, drain
from latency import latency
from pymongo import MongoClient
from readers import JSON_SCHEMA, PLAIN, USUAL, Loop, Ours, Tuning
from reading import WAYS, read
from report import Delayed, Report, machine, write_section
from scene import ROOT, Scene, scene
from yardstick import yardstick

if TYPE_CHECKING:
    from backlog import Backlog

_DELAY_MS = 20
_LANES = (16, 64, 256, 1024)
_SLOTS = (4, 8, 16, 32)
_RATES = (10.0, 100.0)
# Longest that one drain may take, per event: three times what the loop needs on a slow machine.
_SECONDS_PER_EVENT = 0.003


def main() -> None:
    """Measures and reports."""
    arguments = _arguments()
    with scene(shlex.split(arguments.program) if arguments.program else None) as place:
        with MongoClient[dict[str, object]](place.uri) as client:
            report = Report(machine(client.server_info()["version"]))
        _say(f"writing a backlog of {arguments.events:,} events")
        events = backlog.write(place.uri, arguments.events)
        _compare(place, events, report, arguments.rounds)
        _work(place, events, report, arguments.rounds)
        if not arguments.only_rounds:
            _read(place, events, report, arguments.rounds)
            _delay(place, events, report)
            for rate in _RATES:
                _say(f"latency at {rate:g} inserts a second")
                report.latencies.append(latency(place, rate, arguments.seconds, Ours().stream))
    text = report.markdown()
    sys.stdout.write(text + "\n")
    if arguments.json:
        arguments.json.write_text(report.json() + "\n")
    if not arguments.print_only:
        write_section(ROOT / "docs" / "performance.md", "bench", text)


def _compare(place: Scene, events: Backlog, report: Report, rounds: int) -> None:
    for number in range(rounds):
        what = f"round {number + 1}"
        ours = _drain(place, Ours(), events, what)
        report.rounds.append((ours, _drain(place, Loop(), events, what)))
    report.yardstick_us = yardstick(place, events, timeout=_timeout(events))
    _say(f"counting with pymongo's watch alone: {report.yardstick_us:.1f} µs/event")


def _work(place: Scene, events: Backlog, report: Report, rounds: int) -> None:
    for number in range(rounds):
        for work in (PLAIN, USUAL, JSON_SCHEMA):
            what = f"round {number + 1}, {work.name}"
            drained = _drain(place, Ours(work=work), events, what)
            report.work.append((work.name, drained))


def _read(place: Scene, events: Backlog, report: Report, rounds: int) -> None:
    for _ in range(rounds):
        for way in WAYS:
            report.reads.append(read(place, events, way, timeout=_timeout(events)))
            _say(f"{way}: {report.reads[-1].cpu_us_per_event:.2f} µs/event")


def _delay(place: Scene, events: Backlog, report: Report) -> None:
    for lanes in _LANES:
        for slots in _SLOTS:
            reader = Ours(Tuning(lanes, slots))
            what = f"{lanes} lanes, {slots} slots, {_DELAY_MS} ms"
            drained = _drain(place, reader, events, what, _DELAY_MS)
            report.delayed.append(Delayed(lanes, slots, _DELAY_MS, drained))


def _drain(
    place: Scene, reader: Ours | Loop, events: Backlog, what: str, delay_ms: int = 0
) -> Drain:
    drained = drain(place, reader, events, timeout=_timeout(events), delay_ms=delay_ms)
    _say(
        f"{what}: {drained.reader} {drained.cpu_us_per_event:.2f} µs/event, "
        f"{drained.events_per_second:,.0f} events/s, {drained.peak_rss_mb:.0f} MB, "
        f"{drained.messages_per_request:.0f} messages/request"
    )
    return drained


def _timeout(events: Backlog) -> float:
    return 60 + len(events.documents) * _SECONDS_PER_EVENT


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="size of the backlog")
    parser.add_argument("--rounds", type=int, default=2, help="drains by each of the two")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a latency run")
    parser.add_argument("--only-rounds", action="store_true", help="leave out delay and latency")
    parser.add_argument("--program", help="command to measure instead of a release build")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything as JSON")
    parser.add_argument(
        "--print-only", action="store_true", help="leave docs/performance.md as it is"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
