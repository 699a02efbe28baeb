"""What Beam costs: `make bench-beam`; for a look, with `--events 20000 --print-only`.

The same backlog through read, validate and write on Prism, by our transforms and by our reader with
Beam's own sink, and by `mongo-gcp-stream run`, taking turns; ours and `run` once more with 20 ms
added to each Publish; the latency from an insert to its Publish; and how soon windows fire on a
stream that is idle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import backlog
from account import settle
from drained import DrainError, drain
from latency import Latency, end_session, latency
from readers import Ours, Work
from report import table, write_section
from scene import ROOT, Scene, scene

if TYPE_CHECKING:
    from backlog import Backlog

_DELAY_MS = 20
_RATE = 100.0
_WINDOWS = 20

#: What the pipeline's `ValidateAndEnrich` does, done by `run`.
_VALIDATED = Work(
    "validated",
    source="          validation: {on_invalid: fail}\n",
    file="""\
schemas:
  main.orders:
    number: {type: number, required: true, min: 0}
    status: {type: string, required: true}
""",
)


@dataclass(frozen=True)
class Flow:
    """What one way took."""

    way: str
    delay_ms: int
    events: int
    cpu_us_per_event: float
    """User and system time of the process, start-up left out."""
    events_per_second: float
    """From the first to the last request that the fake took."""
    messages_per_request: float


def main() -> None:
    """Measures and reports."""
    arguments = _arguments()
    flows: list[Flow] = []
    with scene() as place:
        _say(f"writing a backlog of {arguments.events:,} events")
        events = backlog.write(place.uri, arguments.events)
        few = backlog.Backlog(events.documents[: arguments.stock], events.start, events.end)
        for delay_ms in (0, 0, _DELAY_MS):
            flows.append(_run(place, events, delay_ms))
            flows.append(_pipeline(place, "ours", events, delay_ms))
        flows.append(_pipeline(place, "stock", few, 0))
        delays = latency(
            place, _RATE, arguments.seconds, lambda place, _, token: _command(place, "ours", token)
        )
        late_ms = _windows(place)
    text = _markdown(flows, delays, late_ms)
    sys.stdout.write(text + "\n")
    if not arguments.print_only:
        write_section(ROOT / "docs" / "performance.md", "beam", text)


def _run(place: Scene, events: Backlog, delay_ms: int) -> Flow:
    drained = drain(place, Ours(work=_VALIDATED), events, timeout=600, delay_ms=delay_ms)
    return _told(
        Flow(
            "mongo-gcp-stream run",
            delay_ms,
            drained.events,
            drained.cpu_us_per_event,
            drained.events_per_second,
            drained.messages_per_request,
        )
    )


def _pipeline(place: Scene, way: str, events: Backlog, delay_ms: int) -> Flow:
    """Runs the pipeline on the backlog, and settles the account."""
    count = len(events.documents)
    place.begin(delay_ms)
    cost = _cpu_us_per_event(place, _command(place, way, events.start), count)
    stats = place.fake.stats()
    if way == "ours":
        account = settle(place.fake.messages(), events.documents, stats["mixed_keys"])
        if any(account._asdict().values()):
            raise DrainError(f"{way}: {account}")
    seconds = max(stats["last_commit_ms"] - stats["first_commit_ms"], 1.0) / 1000
    name = {"ours": "Beam, our transforms", "stock": "Beam, our reader and Beam's sink"}[way]
    messages = stats["mean_messages"]
    return _told(Flow(name, delay_ms, count, cost, stats["messages"] / seconds, messages))


def _command(place: Scene, way: str, token: str) -> list[str]:
    program = str(Path(__file__).with_name("beam_pipeline.py"))
    return [sys.executable, program, way, place.uri, token]


def _cpu_us_per_event(place: Scene, command: list[str], messages: int) -> float:
    """What a pipeline takes to publish so many messages."""
    # In a session of its own: the Prism that it starts goes with it.
    process = subprocess.Popen(
        command, env=place.env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        place.fake.wait(messages=messages, timeout_ms=600_000)
        process.terminate()
        out, _ = process.communicate(timeout=60)
    finally:
        end_session(process)
    return float(json.loads(out.splitlines()[-1])["cpu_us_per_event"])


def _windows(place: Scene) -> list[float]:
    """Milliseconds from the watermark that passes a window of an idle stream to its firing."""
    program = str(Path(__file__).with_name("beam_windows.py"))
    process = subprocess.Popen(
        [sys.executable, program, place.uri, str(_WINDOWS)],
        env=place.env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=300)
    finally:
        end_session(process)
    return list(json.loads(out.splitlines()[-1])["late_ms"])


def _markdown(flows: list[Flow], delays: Latency, late_ms: list[float]) -> str:
    rows = [
        (
            flow.way,
            f"{flow.delay_ms} ms",
            f"{flow.events:,}",
            f"{flow.cpu_us_per_event:.2f}",
            f"{flow.events_per_second:,.0f}",
            f"{flow.messages_per_request:.0f}",
        )
        for flow in flows
    ]
    header = ("", "added to Publish", "events", "CPU µs/event", "events/s", "messages/request")
    told = (
        f"At {delays.inserts_per_second:g} inserts a second (`w: majority`) an insert took "
        f"p50 {delays.p50_ms:.1f} ms, p99 {delays.p99_ms:.1f} ms to its Publish; the insert "
        f"itself p50 {delays.insert_p50_ms:.1f} ms.\n\n"
        f"{len(late_ms)} windows of a second, on a stream with a change every few seconds, fired "
        f"{median(late_ms):.0f} ms after the watermark had passed them, {max(late_ms):.0f} ms at "
        "most."
    )
    return f"{table(header, rows)}\n\n{told}"


def _told(flow: Flow) -> Flow:
    _say(
        f"{flow.way}, {flow.delay_ms} ms: {flow.cpu_us_per_event:.2f} µs/event, "
        f"{flow.events_per_second:,.0f} events/s, {flow.messages_per_request:.0f} messages/request"
    )
    return flow


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="size of the backlog")
    parser.add_argument("--stock", type=int, default=50_000, help="how much Beam's own sink gets")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the latency run")
    parser.add_argument("--print-only", action="store_true", help="leave docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
