"""Logging of programs: lines, sampling, and what the core logs."""

from __future__ import annotations

import json
import logging
import logging.config
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import MongoDBConnectionManager, configure_logging, log
from mongo_gcp_stream._log_format import JsonLines, TextLines
from mongo_gcp_stream._log_sampling import Sampling

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Nothing listens there.
NOWHERE = "mongodb://user:p%40ss-canary@127.0.0.1:1/?serverSelectionTimeoutMS=1"
SECRETS = ("canary", "p%40ss", "p@ss")


def nowhere(*sources: str) -> dict[str, Any]:
    """A configuration whose streams warn that they fail."""
    streams = {name: {"database": "shop", "collection": name} for name in sources or ("orders",)}
    return {
        "mongodb": {"connections": {"main": {"uri": NOWHERE, "sources": streams}}},
        "monitoring": {"connection_timeout": 1},
        "error_handling": {"max_backoff": "10ms"},
    }


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test sets up is taken down."""
    root, package = logging.getLogger(), logging.getLogger("mongo_gcp_stream")
    handlers, levels = root.handlers[:], (root.level, package.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def record(name: str = "shop", level: int = logging.INFO, **attributes: Any) -> logging.LogRecord:
    attributes = {"created": 1_764_000_000.25, "msg": "told", **attributes}
    return logging.makeLogRecord({"name": name, "levelno": level, **attributes})


class Kept(logging.Handler):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A handler on the loggers of the package."""
    handler = Kept()
    logger = logging.getLogger("mongo_gcp_stream")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.own_process
def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    extra = {"stream": "main.orders", "reason": 'it "is"', "left": 3, "nothing": None, "empty": ""}
    logging.getLogger("shop").warning("low on %s", "stock", extra=extra)
    logging.getLogger("shop").debug("not told")
    time, line = capsys.readouterr().err.split(" ", 1)
    assert time.endswith("Z")
    told = r'stream=main.orders reason="it \"is\"" left=3 empty=""'
    assert line == f"WARNING shop: low on stock {told}\n"


@pytest.mark.own_process
def test_lines_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(logging.INFO, format="json")
    odd = {"stream": "main.orders", "at": object, "nan": float("nan"), "level": "mine", "ö": "\n"}
    try:
        int("order")
    except ValueError:
        logging.getLogger("shop").exception("failed: %s", "\u2028", extra=odd)
    (line,) = capsys.readouterr().err.splitlines()
    fields = json.loads(line, parse_constant=pytest.fail)
    assert fields.pop("timestamp").endswith("Z")
    assert fields.pop("exception").startswith("Traceback")
    assert fields == {
        "level": "ERROR",
        "message": "failed: \u2028",
        "stream": "main.orders",
        "at": str(object),
        "nan": "nan",
        "ö": "\n",
        "target": "shop",
    }


def test_what_the_core_tells_is_told_once() -> None:
    told = record("mongo_gcp_stream.sink", stream="a.b", fields={"stream": "a.b", "attempts": 2})
    told.levelname = "INFO"
    assert json.loads(JsonLines().format(told)) == {
        "timestamp": "2025-11-24T16:00:00.250000Z",
        "level": "INFO",
        "message": "told",
        "stream": "a.b",
        "attempts": 2,
        "target": "mongo_gcp_stream.sink",
    }
    line = "2025-11-24T16:00:00.250000Z    INFO mongo_gcp_stream.sink: told stream=a.b attempts=2"
    assert TextLines().format(told) == line


@pytest.mark.own_process
def test_a_second_call_takes_the_place_of_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    others = logging.getLogger().handlers[:]
    configure_logging("DEBUG", format="json")
    configure_logging("ERROR")
    logging.getLogger("shop").warning("not told")
    logging.getLogger("shop").error("told")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("ERROR shop: told")
    assert [handler for handler in others if handler not in logging.getLogger().handlers] == []


@pytest.mark.own_process
def test_other_packages_are_never_told_below_info(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    logging.getLogger("pymongo.command").debug("a document")
    logging.getLogger("mongo_gcp_stream.manager").debug("ours")
    assert capsys.readouterr().err.endswith("DEBUG mongo_gcp_stream.manager: ours\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"level": "loud"}, "level"),
        ({"level": True}, "level"),
        ({"format": "xml"}, "format"),
        ({"sampling": {"shop": 1.5}}, "'shop'"),
        ({"sampling": {"shop": "0/s"}}, "'shop'"),
        ({"sampling": {"shop": "ten"}}, "'shop'"),
        ({"sampling": {"shop": True}}, "'shop'"),
    ],
)
def test_wrong_arguments_change_nothing(arguments: dict[str, Any], told: str) -> None:
    handlers = logging.getLogger().handlers[:]
    with pytest.raises(ValueError, match=told):
        configure_logging(**arguments)
    assert logging.getLogger().handlers == handlers


def test_a_share_is_kept_of_what_is_below_warning() -> None:
    random.seed(7)
    sampling = Sampling({"shop": 0.1, "shop.all": 1, "shop.none": 0})
    kept = sum(sampling.filter(record("shop.orders")) for _ in range(10_000))
    assert 800 < kept < 1200
    assert all(sampling.filter(record("shop.all")) for _ in range(100))
    assert not any(sampling.filter(record("shop.none.below")) for _ in range(100))
    assert all(sampling.filter(record("shopping")) for _ in range(100))
    for level in (logging.WARNING, logging.ERROR, logging.CRITICAL):
        assert sampling.filter(record("shop.none", level)), "never lost by chance"


def test_so_many_a_second_are_kept_and_the_rest_is_counted() -> None:
    sampling = Sampling({"": "2/s"})

    def told(level: int, created: float) -> list[int | None]:
        records = [record("any", level, created=created) for _ in range(5)]
        return [getattr(r, "left_out", None) for r in records if sampling.filter(r)]

    assert told(logging.WARNING, 100.9) == [None, None]
    assert told(logging.ERROR, 100.9) == [None] * 5, "errors are never left out, nor counted"
    assert told(logging.INFO, 99.5) == [], "a record that comes late counts where it comes"
    assert told(logging.INFO, 101.0) == [8, None]
    assert told(logging.INFO, 50.0) == [3, None], "the clock was set"


@pytest.mark.own_process
def test_sampling_concerns_the_handler_alone(
    capsys: pytest.CaptureFixture[str], kept: Kept
) -> None:
    configure_logging(sampling={"mongo_gcp_stream": 0.0})
    logging.getLogger("mongo_gcp_stream.shop").info("left out")
    logging.getLogger("mongo_gcp_stream.shop").error("told")
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines()] == ["told"]
    assert [r.getMessage() for r in kept.records] == ["left out", "told"]


@pytest.mark.own_process
def test_what_the_core_logs_arrives_with_its_stream(kept: Kept) -> None:
    with MongoDBConnectionManager(nowhere("orders", "users")) as manager:
        manager.initialize_connections()
        names = {"main.orders", "main.users"}
        eventually(lambda: {r.__dict__.get("stream") for r in kept.records} >= names, "both warn")
    warning = next(r for r in kept.records if r.levelno == logging.WARNING)
    assert warning.name.startswith("mongo_gcp_stream.")
    assert warning.__dict__["fields"]["stream"] == warning.__dict__["stream"]
    assert warning.lineno > 0
    for line in (TextLines(), JsonLines()):
        assert not [s for s in SECRETS for r in kept.records if s in line.format(r)]


@pytest.mark.own_process
def test_a_handler_that_fails_ends_nothing(
    kept: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[logging.LogRecord] = []

    def refuse(record: logging.LogRecord) -> bool:
        failed.append(record)
        raise RuntimeError("no")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    kept.addFilter(refuse)
    with MongoDBConnectionManager(nowhere()) as manager:
        manager.initialize_connections()
        eventually(lambda: len(failed) > 1, "it goes on after the first")
    assert capsys.readouterr().err.count("Traceback") == 0


class _Fails(logging.Logger):
    """A logger of somebody else, below ours."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 -- the name of logging
        """Fail."""
        raise RuntimeError(level)


@pytest.mark.own_process
def test_a_logger_that_fails_ends_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with MongoDBConnectionManager(nowhere()) as manager:
        manager.initialize_connections()
        eventually(lambda: kept.records, "the core logs")
        logging.setLoggerClass(_Fails)
        logging.getLogger("mongo_gcp_stream.fails")
        logging.setLoggerClass(logging.Logger)
        before = len(kept.records)
        eventually(lambda: len(kept.records) > before + 20, "it goes on")


@pytest.mark.own_process
def test_debug_comes_when_a_logger_wants_it(kept: Kept) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "loggers": {"mongo_gcp_stream": {"level": "DEBUG"}},
        }
    )
    logging.getLogger("mongo_gcp_stream").addHandler(kept)
    with MongoDBConnectionManager(nowhere()) as manager:
        manager.initialize_connections()
        eventually(lambda: kept.records, "a record after logging.config")
    logging.getLogger("mongo_gcp_stream").setLevel("WARNING")
    assert log.start()


@pytest.mark.own_process
def test_stopping_is_not_for_ever(kept: Kept) -> None:
    log.stop()
    log.stop()
    with MongoDBConnectionManager(nowhere()) as manager:
        manager.initialize_connections()
        eventually(lambda: kept.records, "a record after it was started again")


_PROGRAM = """\
import json, os, sys
from mongo_gcp_stream import MongoDBConnectionManager, Runner, configure_logging

config = json.loads(sys.argv[1])

def fail():
    MongoDBConnectionManager(config).initialize_connections()

{body}
"""


def program(body: str, config: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of its own to its end."""
    text = _PROGRAM.format(body=body)
    command = [sys.executable, "-X", "faulthandler", "-c", text, json.dumps(config or nowhere())]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def begun(told: str) -> list[str]:
    """The streams that began, as JSON lines of the core tell it."""
    lines = [json.loads(line) for line in told.splitlines()]
    return [line["stream"] for line in lines if line.get("state") == "starting"]


def test_the_process_may_end_right_after_a_record() -> None:
    """Twenty times: what was logged is told, and nothing hangs or crashes."""
    thread = "import threading; threading.Thread(target=fail).start()"
    ends = ["", "sys.exit(0)", thread, "fail()"]
    for number in range(20):
        ended = program(f"configure_logging(format='json')\nfail()\n{ends[number % len(ends)]}")
        assert ended.returncode == 0, ended.stderr
        assert "main.orders" in begun(ended.stderr)
        assert not [secret for secret in SECRETS if secret in ended.stderr]


_FORK = """\
configure_logging(format="json")
fail()
child = os.fork()
if child == 0:
    import signal
    signal.alarm(20)  # a child that hangs is ended by it
    try:
        fail()
    except RuntimeError as error:
        print("forked" in str(error), flush=True)
    configure_logging()
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

_FORK_BEFORE = """\
configure_logging(format="json")
child = os.fork()
fail()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_that_was_forked_neither_hangs_nor_crashes() -> None:
    ended = program(_FORK)
    assert (ended.returncode, ended.stdout) == (0, "True\n7\n"), ended.stderr


def test_parent_and_child_log_where_the_fork_comes_first() -> None:
    ended = program(_FORK_BEFORE)
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr
    assert begun(ended.stderr) == ["main.orders"] * 2


_RUNNER = """\
from pathlib import Path
import tempfile
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "config.yaml")
    path.write_text(json.dumps(config))
    {first}
    runner = Runner(str(path))
    {then}
    print(runner.run(until_caught_up=True).exit_code)
"""


@pytest.mark.parametrize("first", [True, False])
def test_beside_a_runner_the_first_one_counts(*, first: bool) -> None:
    config = nowhere() | {
        "gcp": {"project_id": "mine"},
        "pubsub": {"topics": {"default": {"name": "shop"}}, "endpoint": "http://127.0.0.1:1"},
        "checkpoint": {"store": "memory"},
        "error_handling": {"max_retries": 0},
    }
    call = "configure_logging(format='json')"
    body = _RUNNER.format(first=call if first else "", then="" if first else call)
    ended = program(body, config)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("{")]
    if first:
        assert len(lines) == len(ended.stderr.splitlines())
        assert "main.orders" in [json.loads(line).get("stream") for line in lines]
    else:
        assert [json.loads(line)["target"] for line in lines] == ["mongo_gcp_stream.log"]
        assert "main.orders" in ended.stderr
