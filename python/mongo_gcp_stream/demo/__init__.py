"""The demo: the whole line on one machine, with an account of every change at the end.

A mongod and an embedded Pub/Sub run in a temporary folder. One thread writes orders, the core
streams them as `mongo-gcp-stream run` would, and one thread pulls the messages and books them.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mongo_gcp_stream.demo.account import Account
from mongo_gcp_stream.demo.display import Display
from mongo_gcp_stream.demo.line import SUBSCRIPTION, TOPIC, Line
from mongo_gcp_stream.demo.shop import Shop
from mongo_gcp_stream.testing import Emulator, Mongod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongo_gcp_stream.demo.beam_line import BeamLine

__all__ = ["run_demo"]

#: How long nothing may arrive, after the last write, before the account is closed as it is.
_PATIENCE_SECONDS = 15.0


def run_demo(events: int, rate: float, *, beam: bool = False) -> bool:
    """Write `events` changes at `rate` a second, stream them, and print the account.

    Args:
        events: How many changes there are.
        rate: How many of them a second.
        beam: Stream them by a Beam pipeline on Prism, which needs the extra `[beam]`, and Go to
            build Prism once.

    Returns:
        True when every change was delivered, and in order for each document.
    """
    display = Display(events, rate, "a Beam pipeline on Prism" if beam else "core")
    with ExitStack() as stack:
        mongod = stack.enter_context(Mongod())
        pubsub = stack.enter_context(Emulator())
        pubsub.create_topic(TOPIC)
        pubsub.create_subscription(SUBSCRIPTION, TOPIC)
        os.environ["PUBSUB_EMULATOR_HOST"] = pubsub.address
        interrupted = stack.enter_context(_interrupts())
        account = Account()
        line = _beam_line(mongod.uri) if beam else Line(mongod.uri)
        stack.enter_context(line)
        line.start()
        shop = stack.enter_context(Shop(mongod.uri, events, rate))
        stack.enter_context(_booking(pubsub, account, display))
        display.begin()
        shop.start()
        _watch(shop, line, account, display, interrupted)
        shop.stop()
        line.stop()
        if account.delivered < shop.written:
            # Interrupted with changes unread, or ended by a failure: the stored position has them.
            line.catch_up()
            _settle(shop, account)
    display.end(account, shop)
    for failure in line.failures:
        display.failure(failure)
    return account.balances(shop.written) and not line.failures


def _beam_line(uri: str) -> BeamLine:
    # Beam takes seconds to load.
    from mongo_gcp_stream.demo.beam_line import BeamLine  # noqa: PLC0415

    return BeamLine(uri)


def _watch(
    shop: Shop,
    line: Line | BeamLine,
    account: Account,
    display: Display,
    interrupted: threading.Event,
) -> None:
    """Show what happens until all is delivered, nothing moves any more, or Ctrl-C."""
    idle = 0.0
    delivered = 0
    while not interrupted.wait(display.INTERVAL_SECONDS):
        display.progress(shop.written, account.delivered)
        done = shop.finished and account.delivered >= shop.written
        if done or line.ended or shop.failed:
            return
        idle = 0.0 if account.delivered > delivered else idle + display.INTERVAL_SECONDS
        delivered = account.delivered
        if shop.finished and idle > _PATIENCE_SECONDS:
            return


def _settle(shop: Shop, account: Account) -> None:
    """Wait for what the embedded Pub/Sub has and the booking has not pulled yet."""
    for _ in range(20):
        if account.delivered >= shop.written:
            return
        threading.Event().wait(0.1)


@contextmanager
def _booking(pubsub: Emulator, account: Account, display: Display) -> Iterator[None]:
    """Pull messages and book them, in a thread, for as long as the block runs."""
    over = threading.Event()

    def book() -> None:
        while not over.is_set():
            for data, attributes, key, published_ms in pubsub.pull(SUBSCRIPTION, wait_ms=100):
                account.book(data, attributes, published_ms)
                display.message(data, attributes, key)

    thread = threading.Thread(target=book, name="booking")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event.

    Installed before the core adds its own handlers, which pass signals on to these.
    """
    interrupted = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: interrupted.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
