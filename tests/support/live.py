"""The MongoDB of the live tests: the one that `tests/.env.test` names, never that of `.env`."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Where `tests/.env.test` is; a variable of this name puts another file in its place.
VARIABLE = "MONGO_GCP_STREAM_ENV_TEST"
KEY = "MONGODB_URI"
DEFAULT_PORT = "27017"


class NotConfiguredError(Exception):
    """Nobody has named a MongoDB for the tests."""


class ProductionError(Exception):
    """What is named is the deployment of `.env`."""


def live_uri(test: Path | None = None, production: Path | None = None) -> str:
    """Return the connection string of the MongoDB for live tests.

    Args:
        test: The file that names it; `tests/.env.test` where none is given.
        production: The file whose deployment it may not be; `.env`.

    Raises:
        NotConfiguredError: There is no file, or no connection string in it.
        ProductionError: A host in it is one of `.env`'s.
    """
    test = test or Path(os.environ.get(VARIABLE) or ROOT / "tests" / ".env.test")
    production = production or ROOT / ".env"
    if not test.is_file():
        message = f"no {test}: copy tests/.env.test.example to it and fill it in"
        raise NotConfiguredError(message)
    uri = variables(test.read_text()).get(KEY)
    if not uri:
        message = f"{test} sets no {KEY}"
        raise NotConfiguredError(message)
    theirs = variables(production.read_text()).values() if production.is_file() else ()
    shared = sorted(hosts(uri) & {host for value in theirs for host in hosts(value)})
    if shared:
        message = (
            f"{test} names the MongoDB of {production} ({', '.join(shared)}): live tests want one "
            "of their own, and write to it"
        )
        raise ProductionError(message)
    return uri


def variables(text: str) -> dict[str, str]:
    """Return the variables of a `.env` file: `NAME=value` lines, the value in quotes or not."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*", line)
        if match:
            name, value = match.groups()
            quoted = re.fullmatch(r"(['\"])(.*?)\1(?:\s+#.*)?", value)
            found[name] = quoted[2] if quoted else re.sub(r"(?:^|\s+)#.*", "", value)
    return found


def hosts(uri: str) -> set[str]:
    """Return the hosts of a connection string with their ports; none for any other text.

    Users, databases and options are another matter: whoever reaches the same hosts reaches the same
    data.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in {"mongodb", "mongodb+srv"}:
        return set()
    # A password may hold what should have been percent-encoded.
    listed = re.split(r"[/?]", rest.rpartition("@")[2])[0]
    names = {host.strip().lower().removesuffix(".") for host in listed.split(",") if host.strip()}
    if scheme == "mongodb+srv":
        return names
    return {_with_port(name) for name in names}


def _with_port(host: str) -> str:
    local = {"localhost", "127.0.0.1", "[::1]"}
    name, port = (host, DEFAULT_PORT) if host.endswith("]") else _split(host)
    return f"{'localhost' if name in local else name}:{port}"


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon else (host, DEFAULT_PORT)
