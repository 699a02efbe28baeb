"""What the demo shows: a line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from mongo_gcp_stream.cli.show import show_error, show_failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongo_gcp_stream import Failure
    from mongo_gcp_stream.demo.account import Account
    from mongo_gcp_stream.demo.shop import Shop

_SAMPLES = 3


class Display:
    """Writes to standard output."""

    #: How often progress is looked at.
    INTERVAL_SECONDS = 0.1

    def __init__(self, events: int, rate: float, by: str) -> None:
        self._tty = sys.stdout.isatty()
        self._samples = 0
        self._started = self._shown_at = time.monotonic()
        self._shown_delivered = 0
        click.echo(f"{events:,} changes of orders at {rate:g}/s: mongod → {by} → embedded Pub/Sub")
        click.echo("starting a mongod …")

    def begin(self) -> None:
        """Say that the stream is open."""
        self._started = self._shown_at = time.monotonic()
        click.echo("the stream is open; a few of its messages:")

    def message(self, data: bytes, attributes: Mapping[str, str], key: str) -> None:
        """Show the first messages, cut to the width of the terminal."""
        if self._samples == _SAMPLES:
            return
        self._samples += 1
        width = shutil.get_terminal_size().columns
        operation = click.style(attributes["operation"], fg="green")
        about = f"{attributes['namespace']}  ordering key {key}  event_id {attributes['event_id']}"
        click.echo(f"  {operation} {about}")
        text = data.decode()
        shown = text if len(text) <= width - 4 else text[: width - 5] + "…"
        click.echo(click.style(f"    {shown}", dim=True))

    def progress(self, written: int, delivered: int) -> None:
        """Show how far it is: at once on a terminal, else each second."""
        now = time.monotonic()
        if now - self._shown_at < 1:
            return
        rate = (delivered - self._shown_delivered) / (now - self._shown_at)
        self._shown_at, self._shown_delivered = now, delivered
        line = (
            f"{now - self._started:5.0f} s   written {written:>9,}   delivered {delivered:>9,}"
            f"   {rate:>7,.0f}/s"
        )
        if self._tty:
            click.echo(f"\r\x1b[K{line}", nl=False)
        else:
            click.echo(line)

    def end(self, account: Account, shop: Shop) -> None:
        """Print the account."""
        if self._tty:
            click.echo("\r\x1b[K", nl=False)
        missing = shop.written - account.delivered
        order = f"yes, for all {account.documents:,} orders"
        if account.out_of_order:
            order = f"NO: {len(account.out_of_order):,} of {account.documents:,} orders"
        p50, p99 = account.latency_ms(0.5), account.latency_ms(0.99)
        rows = {
            "written": f"{shop.written:,} ({shop.inserted:,} inserts, {shop.updated:,} updates)",
            "delivered": f"{account.delivered:,}",
            "missing": f"{missing:,}",
            "duplicates": f"{account.duplicates:,}",
            "order kept": order,
            "latency": f"p50 {p50:.1f} ms, p99 {p99:.1f} ms (from the write to Publish)",
        }
        good = account.balances(shop.written)
        click.echo(click.style("the account", bold=True))
        for name, value in rows.items():
            click.echo(f"  {name:<11} {value}")
        verdict = "every change delivered, in order" if good else "the account does not balance"
        click.echo(click.style(verdict, fg="green" if good else "red", bold=True))
        if shop.failed is not None:
            show_error(f"writing stopped: {type(shop.failed).__name__}")

    def failure(self, failure: Failure) -> None:
        """Print why the stream failed."""
        show_failure(failure)
