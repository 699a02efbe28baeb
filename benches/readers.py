"""The two programs that are compared, each as a command that drains the same backlog."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backlog import COLLECTION, DATABASE
from scene import OTHER_TOPIC, PROJECT, TOPIC, TOPIC_PATH

if TYPE_CHECKING:
    from scene import Scene

_CONFIG = """\
mongodb:
  connections:
    main:
      uri: {uri}
      sources:
        orders:
          database: {database}
          collection: {collection}
{source}gcp:
  project_id: {project}
pubsub:
  topics:
    default: {{name: {topic}{table}}}
    north: {{name: {other_topic}{table}}}
{tuning}checkpoint:
  store: file
  path: {state}
logging: {{level: warn}}
{file}"""


@dataclass(frozen=True)
class Tuning:
    """What is set of `pubsub.lanes` and `pubsub.slots`; the defaults hold for the rest."""

    lanes: int | None = None
    slots: int | None = None

    def yaml(self) -> str:
        """Lines for the section `pubsub`."""
        options = {"lanes": self.lanes, "slots": self.slots}
        return "".join(f"  {key}: {value}\n" for key, value in options.items() if value is not None)


@dataclass(frozen=True)
class Work:
    """What is done to each event besides publishing it."""

    name: str
    source: str = ""
    """Lines for the source."""
    file: str = ""
    """Lines for the file as a whole."""
    table: str = ""
    """What is said of both topics."""


PLAIN = Work("plain")

#: All that is usual at once. The country of an order never changes, so that its topic does not.
USUAL = Work(
    "typed validation, metadata, one mask, routing, bigquery_cdc",
    source="""\
          envelope: bigquery_cdc
          enrich: {metadata: true}
          protect: [{path: customer.email, action: mask}]
          validation: {on_invalid: fail}
          routes: [{topic: north, when: {field: customer.address.country, equals: NO}}]
""",
    file="""\
schemas:
  main.orders:
    number: {type: number, required: true, min: 0}
    status: {type: string, required: true, enum: [placed, sent]}
    placed_at: {type: date, required: true}
    customer: {type: object, required: true}
    items: {type: array, required: true}
    total: {type: number, required: true, nullable: false}
""",
    table=", bigquery: {dataset: shop, table: orders}",
)

JSON_SCHEMA = Work(
    "JSON Schema",
    source="""\
          validation:
            on_invalid: fail
            json_schema:
              inline:
                type: object
                required: [number, status, customer, items, total]
                properties:
                  number: {type: integer, minimum: 0}
                  status: {enum: [placed, sent]}
                  paid: {type: boolean}
                  currency: {type: string, pattern: "^[A-Z]{3}$"}
                  customer:
                    type: object
                    required: [name, email, address]
                    properties:
                      email: {type: string, minLength: 3}
                      address: {type: object, required: [city, country]}
                  items:
                    type: array
                    minItems: 1
                    items:
                      type: object
                      required: [sku, quantity, price]
                      properties: {quantity: {type: integer, minimum: 1}}
""",
)


class Ours:
    """`mongo-gcp-stream run`, all in Rust, with its position on disk."""

    name = "mongo-gcp-stream"
    ordered = True

    def __init__(self, tuning: Tuning | None = None, work: Work = PLAIN) -> None:
        self._tuning = tuning or Tuning()
        self._work = work

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
                source=(f'          startup: {{token: "{token}"}}\n' if token else "")
                + self._work.source,
                project=PROJECT,
                topic=TOPIC,
                other_topic=OTHER_TOPIC,
                tuning=self._tuning.yaml(),
                state=state,
                file=self._work.file,
                table=self._work.table,
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
