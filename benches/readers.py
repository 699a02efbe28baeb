"""The two programs that are compared, each as a command that drains the same backlog."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backlog import COLLECTION, DATABASE
from scene import PROJECT, TOPIC, TOPIC_PATH

if TYPE_CHECKING:
    from scene import Scene

_CONFIG = """\
mongodb:
  connections:
    main:
      uri: {uri}
      sources:
        orders: {{database: {database}, collection: {collection}{startup}}}
gcp:
  project_id: {project}
pubsub:
  topics:
    default: {{name: {topic}}}
{tuning}checkpoint:
  store: file
  path: {state}
logging: {{level: warn}}
"""


@dataclass(frozen=True)
class Tuning:
    """What is set of `pubsub.lanes` and `pubsub.slots`; the defaults hold for the rest."""

    lanes: int | None = None
    slots: int | None = None

    def yaml(self) -> str:
        """Lines for the section `pubsub`."""
        options = {"lanes": self.lanes, "slots": self.slots}
        return "".join(f"  {key}: {value}\n" for key, value in options.items() if value is not None)


class Ours:
    """`mongo-gcp-stream run`, all in Rust, with its position on disk."""

    name = "mongo-gcp-stream"
    ordered = True

    def __init__(self, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()

    def command(self, scene: Scene, folder: Path, token: str, events: int) -> list[str]:
        """Drains everything after `token`, however much it is, and ends."""
        del events  # it knows by itself when it has caught up
        return [*self.stream(scene, folder, token), "--until-caught-up"]

    def stream(self, scene: Scene, folder: Path, token: str | None = None) -> list[str]:
        """Streams what happens after `token`, or from now on, until it is stopped."""
        state = tempfile.mkdtemp(prefix="state-", dir=folder)
        path = Path(state) / "config.yaml"
        path.write_text(
            _CONFIG.format(
                uri=scene.uri,
                database=DATABASE,
                collection=COLLECTION,
                startup=f', startup: {{token: "{token}"}}' if token else "",
                project=PROJECT,
                topic=TOPIC,
                tuning=self._tuning.yaml(),
                state=state,
            )
        )
        return [*scene.program, "run", "--config", str(path)]


class Loop:
    """The plain loop of `pymongo_loop.py`, without ordering and without a position."""

    name = "pymongo loop"
    ordered = False

    def command(self, scene: Scene, folder: Path, token: str, events: int) -> list[str]:
        """Publishes the `events` events after `token` and ends."""
        del folder
        program = Path(__file__).with_name("pymongo_loop.py")
        options = {
            "--uri": scene.uri,
            "--database": DATABASE,
            "--collection": COLLECTION,
            "--token": token,
            "--topic": TOPIC_PATH,
            "--events": str(events),
        }
        return [sys.executable, str(program), *(part for pair in options.items() for part in pair)]


Reader = Ours | Loop
