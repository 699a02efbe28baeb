"""load_config, Config and ConfigManager, explained.

Runs as it stands: python cheat_sheets/configuration_explained.py
"""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

from mongo_gcp_stream import Config, ConfigError, ConfigManager, load_config

# ==== API ====
#
# load_config(path, required_keys=None) -> Config
#     YAML, the .env beside it, ${VAR} and ${VAR:-default}, overrides from the environment.
# Config: a read-only mapping
#     config["mongodb"]["connections"], config.get("a.b.c", default=...), config.to_dict()
#     repr() shows no secret; it pickles, with its values.
# Config.of(mapping)
#     The same for a dict.
# ConfigManager(path, required_keys=None).get("a.b", default)
#     The original's way: the environment variable A_B goes before an existing key a.b.
# ConfigError
#     A ValueError; .path names the key, .hint what to do.
#
# Every key with its meaning and default: config/config.yaml.

FILE = """\
mongodb:
  connections:
    main:
      uri: ${MONGODB_URI}
      database: mydb
      sources:
        orders:
          collection: orders
          batch_size: 100
schemas:
  main.orders:
    number: {type: number, required: true}
"""

# ==== Patterns ====


def read_a_file(folder: Path) -> Config:
    """Secrets stay in `.env`, which is not committed; the file has none."""
    (folder / ".env").write_text("MONGODB_URI=mongodb://user:secret@localhost:27017/\n")
    (folder / "config.yaml").write_text(FILE)
    return load_config(folder / "config.yaml", required_keys=["mongodb.connections.main.uri"])


def look_things_up(config: Config) -> None:
    """By dotted names; what the user did not write has the schema's default."""
    orders = "mongodb.connections.main.sources.orders"
    print("batch size:", config.get(f"{orders}.batch_size", default=50))
    print("database, of the connection:", config.get(f"{orders}.database"))
    print("the schema's default:", config.get("error_handling.backoff_factor"))
    print("the caller's default:", config.get("gcp.project_id", default="none yet"))
    print("a name with dots:", dict(config.get('schemas."main.orders".number')))
    print("no secret:", config["mongodb"]["connections"]["main"]["uri"].startswith("mongodb://"))
    print(str(config)[:80], "…")


def send_it_to_another_process(config: Config) -> None:
    """A pickle means the same there, whatever its files and its environment."""
    there = pickle.loads(pickle.dumps(config))  # noqa: S301 -- our own bytes
    print("the same there:", there == config)


def override_a_key(folder: Path) -> None:
    """For every face, the command line included; and the original's way."""
    os.environ["MONGO_GCP_STREAM__ERROR_HANDLING__MAX_RETRIES"] = "5"
    config = load_config(folder / "config.yaml")
    print("overridden:", config.get("error_handling.max_retries"))
    os.environ["LOGGING_LEVEL"] = "debug"
    print("the original's way:", ConfigManager(folder / "config.yaml").get("logging.level"))


# ==== Best practices ====
#
# - Keep secrets in `.env` or the environment; name them `${VAR}` in the file.
# - Ask for what your program needs with `required_keys`: it is told at the start.
# - Hand the `Config` itself to the manager: nothing is read a second time.
# - `mongo-gcp-stream validate --config config.yaml` shows every value and where it came from.


def see_a_mistake(folder: Path) -> None:
    """A wrong key is refused with its path and the nearest one that there is."""
    (folder / "config.yaml").write_text(FILE.replace("batch_size", "batch_sise"))
    try:
        load_config(folder / "config.yaml")
    except ConfigError as error:
        print(error)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        of_the_file = read_a_file(Path(name))
        look_things_up(of_the_file)
        send_it_to_another_process(of_the_file)
        override_a_key(Path(name))
        see_a_mistake(Path(name))
