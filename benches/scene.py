"""Where the readers run: a mongod, Google's Pub/Sub fake, and our program as a release build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

#: The repository.
ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from mongo_gcp_stream.testing import Mongod  # noqa: E402

from tests.support.order import Delivered, first_deliveries  # noqa: E402
from tests.support.pubsub_fake import PubSubFake  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "OTHER_TOPIC",
    "PROJECT",
    "ROOT",
    "TOPIC",
    "TOPIC_PATH",
    "Delivered",
    "Scene",
    "cluster_time",
    "first_deliveries",
    "scene",
]

PROJECT = "benches"
TOPIC = "shop-changes"
TOPIC_PATH = f"projects/{PROJECT}/topics/{TOPIC}"
#: Where routing sends some of the orders.
OTHER_TOPIC = "shop-changes-north"

_BUILD = ROOT / "target" / "bench"


@dataclass(frozen=True)
class Scene:
    """What all readers share."""

    uri: str
    """Connection string of the mongod."""
    fake: PubSubFake
    program: list[str]
    """Command that starts ours, as a release build."""
    env: dict[str, str]
    """Environment of the readers."""

    def begin(self, delay_ms: int = 0) -> None:
        """Empties the fake; from now on it takes `delay_ms` longer for each request."""
        self.fake.reset()
        if delay_ms:
            self.fake.fault("delay", delay_ms=delay_ms, times=-1)


def cluster_time(message: Delivered) -> tuple[int, int]:
    """Seconds and ordinal of a message's event: each event of one server has its own."""
    seconds, _, ordinal = message.attributes["cluster_time"].partition(".")
    return int(seconds), int(ordinal)


@contextmanager
def scene(program: list[str] | None = None) -> Iterator[Scene]:
    """Starts mongod and fake; both are gone at the end, however it comes.

    `program` is the command to measure; by default the release build of this tree is made (the
    first takes minutes) and used.
    """
    release = {} if program else {"PYTHONPATH": str(_build_release())}
    # A gigabyte of cache: the backlog is read from memory, by every reader alike.
    with Mongod(cache_gb=1.0) as mongod, PubSubFake(keep="attributes") as fake:
        fake.create_topic(TOPIC_PATH)
        fake.create_topic(f"projects/{PROJECT}/topics/{OTHER_TOPIC}")
        yield Scene(
            uri=mongod.uri,
            fake=fake,
            program=program or [str(Path(sys.executable).with_name("mongo-gcp-stream"))],
            env={**os.environ, **release, "PUBSUB_EMULATOR_HOST": fake.grpc_address},
        )


def _build_release() -> Path:
    """Builds the wheel and unpacks it: a folder that goes before the debug build on the path."""
    wheels, site = _BUILD / "wheel", _BUILD / "site"
    for folder in (wheels, site):
        shutil.rmtree(folder, ignore_errors=True)
    tools = Path(sys.executable).parent
    subprocess.run(
        [tools / "maturin", "build", "--release", "--locked", "--out", wheels], cwd=ROOT, check=True
    )
    shutil.unpack_archive(next(wheels.glob("*.whl")), site, "zip")
    return site
