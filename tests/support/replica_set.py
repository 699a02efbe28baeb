"""A replica set of three members on loopback, with elections on demand."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream.testing import Mongod
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_NAME = "rs3"

#: Elections within a second or two, not the ten seconds that a wide network wants.
_SETTINGS = {
    "electionTimeoutMillis": 2000,
    "heartbeatIntervalMillis": 500,
    "catchUpTimeoutMillis": 2000,
}


class ReplicaSet:
    """Three members; `with` starts them and leaves neither a process nor a file."""

    def __init__(self) -> None:
        self.members = [_Member(replica_set=_NAME) for _ in range(3)]

    @property
    def uri(self) -> str:
        """Connection string with all members."""
        hosts = ",".join(member.host for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={_NAME}"

    def client(self) -> MongoClient[dict[str, Any]]:
        """Connect a new pymongo client that finds each new primary; the caller closes it."""
        return MongoClient(self.uri, serverSelectionTimeoutMS=60_000)

    @property
    def primary(self) -> Mongod:
        """The member that is primary; waits until there is one."""
        member = eventually(
            lambda: next((member for member in self.members if member.is_primary()), None),
            "a primary",
        )
        assert member is not None
        return member

    def step_down(self) -> None:
        """Let the primary step down, and wait until another member is primary."""
        before = self.primary
        with (
            MongoClient[dict[str, Any]](before.host, directConnection=True) as client,
            contextlib.suppress(AutoReconnect),  # it may close its connections
        ):
            client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=10)
        eventually(lambda: self.primary is not before, "another primary")

    def kill_primary(self) -> Mongod:
        """SIGKILL the primary, wait until another member is primary, and return the killed one."""
        before = self.primary
        before.kill()
        eventually(lambda: self.primary is not before, "another primary")
        return before

    def wait_until_whole(self) -> None:
        """Wait until each member is primary or secondary: then any one of them may go."""
        eventually(lambda: all(member.is_data_bearing() for member in self.members), "all members")

    def __enter__(self) -> Self:
        try:
            for member in self.members:
                member.start()
            hosts = [
                {"_id": number, "host": member.host} for number, member in enumerate(self.members)
            ]
            config = {"_id": _NAME, "members": hosts, "settings": _SETTINGS}
            with MongoClient[dict[str, Any]](self.members[0].host, directConnection=True) as client:
                client.admin.command("replSetInitiate", config)
            self.wait_until_whole()
            assert self.primary
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for member in self.members:
            member.close()


class _Member(Mongod):
    """A member, which is ready when it answers: who is primary is up to the set."""

    def is_primary(self) -> bool:
        """Whether it can be written to now."""
        return bool(self._hello().get("isWritablePrimary"))

    def is_data_bearing(self) -> bool:
        """Whether it is primary or secondary."""
        hello = self._hello()
        return bool(hello.get("isWritablePrimary") or hello.get("secondary"))

    def _hello(self) -> dict[str, Any]:
        try:
            with MongoClient[dict[str, Any]](
                self.host, directConnection=True, serverSelectionTimeoutMS=500
            ) as client:
                return dict(client.admin.command("hello"))
        except PyMongoError:
            return {}

    def _become_ready(self, *, first: bool) -> None:
        del first
        with MongoClient[dict[str, Any]](
            self.host, directConnection=True, serverSelectionTimeoutMS=500
        ) as client:
            self._await(client, "ok", time.monotonic() + 60)
