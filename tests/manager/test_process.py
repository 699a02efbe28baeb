"""Around the process: exits with calls pending, forks, several loops, uvloop, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop
from mongo_gcp_stream import AsyncMongoDBConnectionManager, MongoDBConnectionManager

from tests.support.pages import blocks
from tests.support.reading import STREAM, Shop, run, take
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

ROOT = Path(__file__).parents[2]

#: A program that reads `sys.argv[1]`; `{body}` runs with `manager` streaming.
_PROGRAM = """\
import asyncio, os, signal, sys, threading
from mongo_gcp_stream import AsyncMongoDBConnectionManager, MongoDBConnectionManager

config = {{"mongodb": {{"connections": {{"main": {{"uri": sys.argv[1], "sources": {{
    f"c{{n}}": {{"database": "exits", "collection": f"c{{n}}"}} for n in range({streams})}}}}}}}}}}

{body}
"""

_PENDING = """\
async def main():
    manager = AsyncMongoDBConnectionManager(config)
    await manager.initialize_connections()
    waiting = [asyncio.ensure_future(manager.batches(name).__anext__()) for name in manager.status]
    waiting.append(asyncio.ensure_future(manager.initialize_connections()))
    await asyncio.sleep(0)
    print("ready", flush=True)
    {end}

asyncio.run(main())
"""

_ENDS = {
    "returns": "return",
    "leaves the loop running into the end": "asyncio.get_running_loop().stop()",
    "exits": "sys.exit(0)",
}


def _program(body: str, streams: int = 5) -> list[str]:
    return [sys.executable, "-X", "faulthandler", "-c", _PROGRAM.format(body=body, streams=streams)]


@pytest.mark.parametrize("end", _ENDS)
def test_the_interpreter_ends_cleanly_with_calls_pending(shop: Shop, end: str) -> None:
    """Together with the other parameters: 51 exits."""
    command = [*_program(_PENDING.format(end=_ENDS[end])), shop.mongod.uri]
    for _ in range(17):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "ready" in ended.stdout
        if end == "leaves the loop running into the end":
            # Python's own words about a loop that was stopped from inside.
            assert "Event loop stopped before Future completed" in ended.stderr
            assert ended.returncode == 1
        else:
            assert (ended.returncode, ended.stderr) == (0, "")


_FORK = """\
def use():
    with MongoDBConnectionManager(config) as manager:
        manager.initialize_connections()
        assert manager.status["main.c0"].active

use()
held = MongoDBConnectionManager(config)
held.initialize_connections()
child = os.fork()
if child == 0:
    signal.alarm(20)  # a child that hangs is ended by it
    refused = 0
    for attempt in (use, held.initialize_connections, held.close):
        try:
            attempt()
        except RuntimeError as error:
            refused += "forked" in str(error)
    async def with_a_loop():
        manager = AsyncMongoDBConnectionManager(config)
        await manager.initialize_connections()
    try:
        asyncio.run(with_a_loop())
    except RuntimeError as error:
        refused += "forked" in str(error)
    sys.exit(10 + refused)
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status))
use()
held.close()
print("parent goes on")
"""


def test_a_child_forked_after_the_first_use_is_refused_and_never_hangs(shop: Shop) -> None:
    command = [*_program(_FORK.replace("{{", "{").replace("}}", "}"), 1), shop.mongod.uri]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.splitlines() == ["child 14", "parent goes on"], ended.stderr
    assert ended.returncode == 0


_FORK_BEFORE = """\
child = os.fork()
with MongoDBConnectionManager(config) as manager:
    manager.initialize_connections()
    assert manager.status["main.c0"].active
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status))
"""


def test_both_work_when_the_fork_comes_first(shop: Shop) -> None:
    command = [*_program(_FORK_BEFORE, 1), shop.mongod.uri]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "child 0\n"), ended.stderr


_BUSY = """\
config["mongodb"]["connections"]["main"]["uri"] = "mongodb://127.0.0.1:1/"
config |= {{"monitoring": {{"connection_timeout": 50}}, "error_handling": {{"max_backoff": "1ms"}}}}
managers = [MongoDBConnectionManager(config) for _ in range(3)]
for manager in managers:
    manager.initialize_connections()
batches = [manager.batches("main.c0") for manager in managers]
codes = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is ended by it
        del manager, managers, batches
        sys.exit(3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(set(codes))
"""


def test_children_of_a_busy_parent_end_whatever_its_threads_held_at_the_fork() -> None:
    command = [*_program(_BUSY.replace("{{", "{").replace("}}", "}"), 30), "mongodb://unused/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stdout) == (0, "{3}\n"), ended.stderr


#: Python leaves SIGINT ignored where a shell has started the tests in the background.
_INTERRUPTED = """\
signal.signal(signal.SIGINT, signal.default_int_handler)
with MongoDBConnectionManager(config) as manager:
    manager.initialize_connections()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        next(manager.batches("main.c0"))
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_ends_a_wait_without_a_loop(shop: Shop) -> None:
    command = [*_program(_INTERRUPTED, 1), shop.mongod.uri]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_any_loop_and_several_in_turn(
    shop: Shop, runner: Callable[[Coroutine[None, None, None]], None]
) -> None:
    config = shop.config(checkpoint=shop.stored())
    taken: list[int] = []

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            number = len(taken)
            await asyncio.to_thread(shop.insert, number)
            taken.extend(await take(manager, 1))

    for _ in range(3):
        runner(test())
    assert taken == [0, 1, 2]


def test_one_manager_may_be_used_from_loop_after_loop(shop: Shop) -> None:
    manager = AsyncMongoDBConnectionManager(shop.config())
    run(manager.initialize_connections())
    for number in range(3):
        shop.insert(number)
        assert run(take(manager, 1)) == [number]
    run(manager.close())


def test_loops_of_several_threads_read_side_by_side(shop: Shop) -> None:
    config = shop.config("orders", "users")

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            shop.insert(1, 2, 3)
            shop.insert(4, 5, 6, collection="users")
            here = take(manager, 3)
            there = asyncio.to_thread(run, take(manager, 3, "main.users"))
            assert list(await asyncio.gather(here, there)) == [[1, 2, 3], [4, 5, 6]]

    run(test())


def test_the_blocking_manager_lets_other_threads_work(shop: Shop) -> None:
    before = signal.getsignal(signal.SIGINT)
    with MongoDBConnectionManager(shop.config()) as manager:
        manager.initialize_connections()
        waiting = manager.batches(STREAM, timeout=30)

        async def insert_later() -> None:
            await asyncio.sleep(0.05)
            shop.insert(1)

        async def test() -> int:
            batch, _ = await asyncio.gather(asyncio.to_thread(next, waiting), insert_later())
            return len(batch)

        assert asyncio.run(test()) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_the_program_of_the_guide_runs_with_its_configuration(shop: Shop, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guide" / "python.md").read_text()
    (program,), (config,) = blocks(text, "python"), blocks(text, "yaml")
    (tmp_path / "config.yaml").write_text(
        config.replace("database: shop", f"database: {shop.database}")
    )
    environment = os.environ | {"MONGODB_URI": shop.mongod.uri}
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        state = tmp_path / "state"
        eventually(lambda: state.is_dir() and list(state.glob("*.json")), "the stream is open")
        shop.orders.insert_one({"_id": 1, "n": 7})
        assert running.stdout is not None
        assert running.stdout.readline() == "insert {'_id': 1} {'_id': 1, 'n': 7}\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) != 0, "asyncio.run raises KeyboardInterrupt"
