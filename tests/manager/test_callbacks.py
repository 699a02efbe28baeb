"""Callbacks: called for each change in its order, tried again, given up at the limit."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest
from mongo_gcp_stream import AsyncMongoDBConnectionManager, ChangeBatch
from mongo_gcp_stream.manager.streams import Streams

from tests.support.reading import QUICK, STREAM, Shop, numbers, run, take, until


class Taken:
    """A callback that notes what it is given, and refuses what it is told to."""

    def __init__(self, refuse: dict[int, list[BaseException | bool]] | None = None) -> None:
        self.calls: list[int] = []
        self.taken: list[int] = []
        self._refuse = refuse or {}

    async def __call__(self, stream: str, document: dict[str, Any]) -> bool:
        """Take a change, or do not."""
        assert stream == STREAM
        number = document["fullDocument"]["n"]
        self.calls.append(number)
        answers = self._refuse.get(number)
        answer = answers.pop(0) if answers else True
        if isinstance(answer, BaseException):
            raise answer
        if answer:
            self.taken.append(number)
        return answer


def test_each_change_is_handed_over_in_its_order(shop: Shop) -> None:
    """R19."""
    callback = Taken()

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(callback)
            await manager.start_processing()
            shop.insert(*range(500))
            await until(lambda: len(callback.taken) == 500, "all were taken")
            await manager.stop_processing()
            assert manager.status[STREAM].processed_changes == 500

    run(test())
    assert callback.calls == list(range(500))


def test_false_and_exceptions_are_tried_again_without_losing_the_order(shop: Shop) -> None:
    """R20: a failure counts once, and health forgives it."""
    callback = Taken({2: [False, ValueError("canary"), KeyError("canary")]})

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(callback)
            await manager.start_processing()
            shop.insert(1, 2, 3)
            await until(lambda: callback.taken == [1, 2, 3], "all were taken")
            status = manager.status[STREAM]
            assert (status.total_errors, status.retry_count) == (3, 0)
            assert status.active
            assert "KeyError at test_callbacks.py:" in str(status.last_error)
            assert "canary" not in str(status.last_error)

    run(test())
    assert callback.calls == [1, 2, 2, 2, 2, 3]


def test_at_the_limit_the_stream_has_failed_and_its_position_is_before_the_change(
    shop: Shop,
) -> None:
    config = shop.config(checkpoint=shop.stored(), error_handling={**QUICK, "max_retries": 2})
    callback = Taken({2: [False] * 9})

    async def fails() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            manager.register_document_callback(callback)
            await manager.start_processing()
            shop.insert(1, 2, 3)
            await until(lambda: manager.status[STREAM].state == "failed", "it failed")
            status = manager.status[STREAM]
            assert "the callback returned False" in str(status.last_error)
            health = await manager.health()
            assert health["status"] == "unhealthy"

    async def again() -> list[int]:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            return await take(manager, 2)

    run(fails())
    assert callback.calls == [1, 2, 2, 2]
    assert run(again()) == [2, 3]


@pytest.mark.parametrize("factor", [1.0, 2.0, 5.0])
def test_the_delays_follow_the_backoff_factor(shop: Shop, factor: float) -> None:
    """The original read `backoff_factor` and never used it."""
    handling = {"backoff_factor": factor, "max_backoff": "2s"}
    reading = Streams(shop.config(error_handling=handling)).reading
    # Each delay is random, between nothing and a limit that grows: of many one comes close to it.
    callbacks = [reading.backoff() for _ in range(200)]
    longest = [max(delays.next() or 0.0 for delays in callbacks) for _ in range(6)]
    for attempt, delay in enumerate(longest):
        limit = min(0.1 * factor**attempt, 2.0)
        assert 0.8 * limit < delay <= limit, attempt


def test_a_batch_callback_takes_whole_batches(shop: Shop) -> None:
    taken: list[int] = []
    refusals = [False, False]

    async def callback(stream: str, batch: ChangeBatch) -> bool | None:
        assert stream == STREAM
        if refusals:
            return refusals.pop()
        taken.extend(numbers(list(batch)))
        return None

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_batch_callback(callback)
            await manager.start_processing()
            shop.insert(*range(250))
            await until(lambda: len(taken) == 250, "all were taken")
            await until(lambda: manager.status[STREAM].processed_changes == 250, "and committed")

    run(test())
    assert taken == list(range(250))


def test_stopping_lets_the_callback_under_way_end_and_calls_no_other(shop: Shop) -> None:
    """R31: and what it took is not handed over again when processing goes on."""
    config = shop.config(checkpoint=shop.stored())
    entered, finish = asyncio.Event(), asyncio.Event()
    taken: list[int] = []

    async def callback(_stream: str, document: dict[str, Any]) -> bool:
        entered.set()
        await finish.wait()
        taken.append(document["fullDocument"]["n"])
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            manager.register_document_callback(callback)
            await manager.start_processing()
            shop.insert(1, 2, 3)
            await entered.wait()
            stopping = asyncio.ensure_future(manager.stop_processing())
            await asyncio.sleep(0)
            assert not stopping.done()
            finish.set()
            await stopping
            assert taken == [1]
            await manager.start_processing()
            await until(lambda: len(taken) == 3, "it goes on")

    run(test())
    assert taken == [1, 2, 3]


def test_a_callback_that_never_ends_is_cancelled_at_the_deadline(shop: Shop) -> None:
    config = shop.config(checkpoint=shop.stored(), shutdown={"drain_timeout": "50ms"})
    entered = asyncio.Event()
    ended: list[str] = []

    async def stuck(_stream: str, _document: dict[str, Any]) -> bool:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return True

    async def test() -> list[int]:
        manager = AsyncMongoDBConnectionManager(config)
        manager.register_document_callback(stuck)
        async with manager:
            await manager.start_processing()
            shop.insert(1)
            await entered.wait()
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            return await take(manager, 1)

    assert run(test()) == [1]
    assert ended == ["cancelled"]


def test_a_slow_callback_holds_reading_back(shop: Shop) -> None:
    """Back-pressure: no more is read than `flow.bytes_in_flight` while it takes its time."""
    config = shop.config(flow={"bytes_in_flight": "64KB"})
    config["mongodb"]["connections"]["main"]["sources"]["orders"]["batch_size"] = 20
    go_on = asyncio.Event()
    taken: list[int] = []

    async def slow(_stream: str, document: dict[str, Any]) -> bool:
        await go_on.wait()
        taken.append(document["fullDocument"]["n"])
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            manager.register_document_callback(slow)
            await manager.start_processing()
            text = "x" * 1000
            shop.orders.insert_many([{"n": n, "text": text} for n in range(1000)])
            await until(lambda: manager.status[STREAM].in_flight >= 40, "it was read")
            await asyncio.sleep(0.1)  # time to read on, if it would
            # The budget holds 45 of them, or two replies.
            assert manager.status[STREAM].in_flight <= 60
            go_on.set()
            await until(lambda: len(taken) == 1000, "all were taken")
            assert manager.status[STREAM].total_errors == 0

    run(test())
    assert taken == list(range(1000))


def test_memory_stays_flat_while_a_callback_is_slow(shop: Shop) -> None:
    """60 MB pass through, of which `flow.bytes_in_flight` are there at a time."""
    config = shop.config(flow={"bytes_in_flight": "1MB"})
    config["mongodb"]["connections"]["main"]["sources"]["orders"]["batch_size"] = 20
    memory: list[int] = []

    async def slow(_stream: str, _document: dict[str, Any]) -> bool:
        await asyncio.sleep(0.001)
        memory.append(_resident_bytes())
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            manager.register_document_callback(slow)
            await manager.start_processing()
            text = "x" * 30_000
            for _ in range(20):
                await asyncio.to_thread(
                    shop.orders.insert_many, [{"n": n, "text": text} for n in range(100)]
                )
            await until(lambda: len(memory) == 2000, "all were taken")

    run(test())
    assert max(memory[200:]) - memory[200] < 20_000_000


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def test_processing_needs_a_callback_and_a_free_stream(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            with pytest.raises(RuntimeError, match="register a callback first"):
                await manager.start_processing()
            await manager.stop_processing()
            batches = manager.batches(STREAM)
            manager.register_document_callback(Taken())
            with pytest.raises(RuntimeError, match="has a consumer already"):
                await manager.start_processing()
            await batches.aclose()
            await manager.start_processing()
            with pytest.raises(RuntimeError, match="has a consumer already"):
                manager.batches(STREAM)

    run(test())


def test_the_methods_that_the_source_of_the_original_called_are_there(shop: Shop) -> None:
    """Its Beam source called them in this order, and its manager had none of them."""
    callback = Taken()

    async def test() -> None:
        manager = AsyncMongoDBConnectionManager(shop.config())
        manager.register_document_callback(callback)
        await manager.initialize_connections()
        await manager.start_processing()
        shop.insert(1)
        await until(lambda: callback.taken == [1], "it was taken")
        await manager.stop_processing()
        await manager.close()

    run(test())
