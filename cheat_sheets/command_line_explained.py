"""The command line, explained: validate, emulator, setup, run, position.

Runs as it stands, on a MongoDB and a Pub/Sub of its own
(`pip install 'mongo_gcp_stream[demo]'` brings the MongoDB):
python cheat_sheets/command_line_explained.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mongo_gcp_stream.testing import Emulator, Mongod

# ==== API ====
#
# mongo-gcp-stream validate --config PATH   what the file means, without a network
# mongo-gcp-stream check --config PATH      connects: what is missing, each with its fix
# mongo-gcp-stream setup --config PATH      makes topics and subscriptions; --dry-run
# mongo-gcp-stream run --config PATH        streams; --until-caught-up for a cron job
# mongo-gcp-stream position show|set|clear  where streams are
# mongo-gcp-stream dead-letter list|redrive what could not be sent
# mongo-gcp-stream emulator --port N        a Pub/Sub for tests
# mongo-gcp-stream demo                     all of it, with nothing to set up
#
# Each has --help, and exit codes that mean something: docs/guide/cli.md.

FILE = """\
mongodb:
  connections:
    main:
      uri: ${MONGODB_URI}
      sources:
        orders: {database: shop, collection: orders}
gcp:
  project_id: my-project
pubsub:
  topics:
    default: {name: shop-changes, subscriptions: {all: {ordering: true}}}
checkpoint:
  store: file
  path: state
"""

# ==== Patterns ====


def call(folder: Path, *arguments: str, **environment: str) -> None:
    """One command, as a shell would run it."""
    print("$ mongo-gcp-stream", " ".join(arguments), flush=True)
    program = Path(sys.executable).with_name("mongo-gcp-stream")
    ended = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    print("\n".join(ended.stdout.splitlines()[:6]))


def from_nothing_to_messages(folder: Path, mongod: Mongod, pubsub: Emulator) -> None:
    """Check the file, make what it names, remember where to begin, stream what is new."""
    (folder / "config.yaml").write_text(FILE)
    here = {"MONGODB_URI": mongod.uri, "PUBSUB_EMULATOR_HOST": pubsub.address}
    config = ("--config", "config.yaml")
    call(folder, "validate", *config, **here)
    call(folder, "setup", *config, **here)
    call(folder, "run", *config, "--until-caught-up", **here)
    with mongod.client() as client:
        client.shop.orders.insert_one({"_id": 1, "total": 10})
    call(folder, "run", *config, "--until-caught-up", **here)
    call(folder, "position", "show", *config, **here)
    for data, attributes, key, _ in pubsub.pull("projects/my-project/subscriptions/all"):
        print(attributes["operation"], attributes["namespace"], key, len(data), "bytes")


# ==== Best practices ====
#
# - `validate` in continuous integration, `check` before the first run: both are quick.
# - `run` drains on SIGTERM; give it `shutdown.drain_timeout` before it is killed.
# - A cron job takes `run --until-caught-up`; the position between two runs is kept.
# - `setup --dry-run` prints the gcloud commands, for who may not make topics.

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, Mongod() as server, Emulator() as fake:
        from_nothing_to_messages(Path(name), server, fake)
