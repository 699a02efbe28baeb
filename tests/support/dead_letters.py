"""Dead letters as the tests read them: from a file, or from a topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.line import Line
    from tests.support.pubsub_fake import Published


class DeadLetters:
    """A file and a topic for the dead letters of a line; `configure` uses what it is told to."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.file = line.folder / "dead" / "letters.jsonl"
        self.topic = f"{line.topic}-dead"
        self.subscription = f"{self.topic.replace('/topics/', '/subscriptions/')}-operator"
        line.pubsub.create_topic(self.topic, self.subscription, ordered=False)

    def configure(self, *, file: bool = False, topic: bool = False, **sections: Any) -> None:
        """Write the line's configuration with these places for dead letters."""
        places: dict[str, Any] = {}
        if file:
            places["file"] = {"path": str(self.file), **sections.pop("file_options", {})}
        if topic:
            places["topic"] = "dead"
        topics = {name: {"name": full.rpartition("/")[2]} for name, full in self.topics.items()}
        pubsub = {"topics": topics, **sections.pop("pubsub", {})}
        self.line.configure(dead_letter=places, pubsub=pubsub, **sections)

    @property
    def topics(self) -> dict[str, str]:
        """The topics by their keys."""
        return {"default": self.line.topic, "dead": self.topic}

    def in_file(self) -> list[dict[str, Any]]:
        """What is in the file and in those put aside, the oldest first."""
        aside = sorted(self.file.parent.glob(f"{self.file.name}.[0-9]"), reverse=True)
        return [letter for path in [*aside, self.file] for letter in _lines(path)]

    def published(self) -> list[Published]:
        """What has come to the topic for dead letters."""
        return [message for message in self._all() if message.topic == self.topic]

    def delivered(self) -> list[Published]:
        """What has come to the stream's own topic."""
        return [message for message in self._all() if message.topic == self.line.topic]

    def _all(self) -> list[Published]:
        return self.line.pubsub.messages()


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]
