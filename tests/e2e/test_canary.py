"""No secret is printed anywhere: secrets are put everywhere, and every output is searched."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId
from mongo_gcp_stream.beam.prism import VARIABLE
from mongo_gcp_stream.cli.exit_codes import ExitCode
from mongo_gcp_stream.testing import Mongod

from tests.support.beam_runner import prism_program
from tests.support.canaries import Canaries
from tests.support.commands import commands
from tests.support.line import STREAM, Line
from tests.support.runner import PROGRAM, Process
from tests.support.terminal import OnTerminal
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.pubsub_fake import PubSubFake

USER = "kanariUserQ7x"
# Characters that must be percent-encoded in a URI: both forms are looked for.
PASSWORD = "kanari:Pa55@w/ort"  # noqa: S105 - of a server that lives for a test
ENCODED = "kanari%3APa55%40w%2Fort"
VALUE = "kanariValueZ3k"
KEY = "kanariDocKeyM5"
UNUSED = "kanariUnusedW8"
PRIVATE_KEY = "a2FuYXJpUHJpdmF0ZUtleQ"

#: What a run is told to say: each form of a log, at the levels that say most.
LOGS = [("text", "trace"), ("json", "debug")]

#: For what is refused before there is a log.
before_any_log = pytest.mark.parametrize("cage", LOGS[:1], indirect=True, ids=["no-log"])


@pytest.fixture(scope="module")
def locked() -> Iterator[Mongod]:
    """A mongod that wants a user whose name and password are canaries."""
    with Mongod(password="root", fail_commands=True) as server, server.client() as client:  # noqa: S106
        client.admin.command("createUser", USER, pwd=PASSWORD, roles=["root"])
        yield server


class Cage:
    """A line whose every secret is a canary, and the search through all that it writes."""

    def __init__(self, folder: Path, mongod: Mongod, pubsub: PubSubFake, database: str) -> None:
        self.line = Line(folder, mongod, pubsub, database)
        self.canaries = Canaries(
            user=USER,
            password=PASSWORD,
            encoded_password=ENCODED,
            value=VALUE,
            document_key=KEY,
            unused_variable=UNUSED,
            private_key=PRIVATE_KEY,
        )
        self.uri = f"mongodb://{USER}:{ENCODED}@{mongod.host}/?authSource=admin&replicaSet=rs0"
        self.logging: dict[str, str] = {}
        self.dotenv()
        self.configure()

    def dotenv(self, **variables: str) -> None:
        """Write the `.env` that the configuration takes its URI from."""
        variables = {"MONGODB_URI": self.uri, "UNUSED_SECRET": UNUSED, **variables}
        lines = (f"{name}='{value}'\n" for name, value in variables.items())
        (self.line.folder / ".env").write_text("".join(lines))

    def configure(self, **sections: Any) -> None:
        """Write the configuration; the URI comes from `.env` if none is given."""
        sections.setdefault("uri", "${MONGODB_URI}")
        sections.setdefault("monitoring", {"connection_timeout": 500})
        # A failure is tried again once, so that what is said of that is seen as well.
        sections.setdefault("error_handling", {"max_retries": 1, "max_backoff": "100ms"})
        self.line.configure(logging=self.logging, **sections)

    def write(self) -> None:
        """Write documents with canaries in keys and values."""
        orders = self.line.collection
        orders.insert_one({"_id": KEY, "name": VALUE, "list": [VALUE], "in": {"it": VALUE}})
        orders.insert_one({"_id": ObjectId(), "name": VALUE})
        orders.update_one({"_id": KEY}, {"$set": {"name": f"{VALUE} again"}})
        orders.replace_one({"_id": KEY}, {"name": VALUE, "n": 1})
        orders.delete_one({"_id": KEY})

    def look_up_token(self) -> None:
        """Make the stored resume token a canary, which it is everywhere but in its file."""
        stored = json.loads(self.line.checkpoint.read_text())
        self.canaries.add("token", stored["position"]["token"]["_data"])

    def assert_silent(self, process: Process, code: int) -> None:
        """Assert that a run ended with this code and wrote no secret to any place."""
        assert process.wait() == code, process.stderr
        self.search(process.stdout.encode() + process.stderr.encode())
        assert "Traceback" not in process.stderr
        if self.logging.get("format") == "json":
            for text in process.stderr.splitlines():
                assert {"timestamp", "level", "message"} <= json.loads(text).keys()

    def search(self, output: bytes) -> None:
        """Assert that neither an output nor a file holds a secret."""
        assert not self.canaries.sung(output), output.decode(errors="replace")[-4000:]
        names = (".env", "key.json", "dead.jsonl")
        ours = {self.line.config, *(self.line.folder / name for name in names)}
        for path in self.line.folder.rglob("*"):
            if path.is_file() and path not in ours:
                sung = self.canaries.sung(path.read_bytes())
                if path.parent.name == "state":
                    # A checkpoint is a stored resume token: that one canary lives there, and the
                    # token of an event holds the event's document key.
                    sung = [
                        name for name in sung if name.split()[0] not in {"token", "document_key"}
                    ]
                assert not sung, path


@pytest.fixture(params=LOGS, ids=["-".join(log) for log in LOGS])
def cage(
    request: pytest.FixtureRequest, tmp_path: Path, locked: Mongod, pubsub: PubSubFake
) -> Iterator[Cage]:
    """A cage for each form and level of the log."""
    form, level = request.param
    name = f"cage{abs(hash(request.node.name))}"[:30]
    cage = Cage(tmp_path, locked, pubsub, name)
    cage.logging = {"format": form, "level": level}
    cage.configure()
    with cage.line.client:
        yield cage


def test_the_search_finds_every_form() -> None:
    canaries = Canaries(data="8267A1B2C3D4E5F6", value=VALUE)
    for singing in (
        b"... 8267a1b2c3d4e5f6 ...",
        b"gmehssPU5fY",
        VALUE.encode().hex().upper().encode(),
        b"a2FuYXJpVmFsdWVaM2",
        b"xrYW5hcmlWYWx1ZVozaw",
        str(list(VALUE.encode())).encode(),
        b"kanari\n  Value\\nZ3k".replace(b"\\n", b""),
    ):
        assert canaries.sung(singing), singing
    assert not canaries.sung(b"mongodb://***@127.0.0.1/ 0x8267 kanari Value")


def test_a_run_that_works(cage: Cage) -> None:
    cage.line.prepare()
    cage.look_up_token()
    cage.write()
    cage.assert_silent(cage.line.catch_up(), 0)
    # The canaries are alive: they are where they belong.
    assert any(VALUE.encode() in message.data for message in cage.line.pubsub.messages())
    cage.look_up_token()
    cage.assert_silent(cage.line.catch_up(), 0)


def test_a_wrong_password(cage: Cage) -> None:
    cage.configure(uri=cage.uri.replace(ENCODED, f"{ENCODED}x"))
    cage.assert_silent(cage.line.catch_up(), 1)


def test_an_unreachable_host(cage: Cage) -> None:
    cage.configure(uri=f"mongodb://{USER}:{ENCODED}@127.0.0.1:9/?appName={VALUE}")
    cage.assert_silent(cage.line.catch_up(), 1)


def test_a_topic_that_is_not_there(cage: Cage) -> None:
    cage.line.prepare()
    cage.write()
    cage.configure(pubsub={"topics": {"default": {"name": "no-such-topic"}}})
    cage.assert_silent(cage.line.catch_up(), 1)


def test_a_record_that_is_too_large(cage: Cage) -> None:
    cage.line.prepare()
    cage.line.collection.insert_one({"_id": KEY, "name": VALUE * (11_000_000 // len(VALUE))})
    cage.assert_silent(cage.line.catch_up(), 1)


def test_messages_that_are_refused_for_good(cage: Cage) -> None:
    cage.line.prepare()
    cage.write()
    cage.line.pubsub.fault("status", code="INVALID_ARGUMENT", times=-1)
    cage.assert_silent(cage.line.catch_up(), 1)


def test_outages_that_are_waited_out(cage: Cage) -> None:
    cage.line.prepare()
    cage.write()
    cage.line.pubsub.fault("status", times=3)
    cage.line.pubsub.fault("lose_response", times=1)
    cage.assert_silent(cage.line.catch_up(), 0)


@pytest.mark.parametrize(
    "stage",
    [
        # What the server says of these quotes the value.
        {"$addFields": {"n": {"$toInt": "$fullDocument.name"}}},
        {"$addFields": {"n": {"$toDate": "$fullDocument.name"}}},
        {"$addFields": {"n": {"$divide": [VALUE, 2]}}},
        {"$addFields": {"n": {"$toInt": VALUE}}},
        {"$match": {"$expr": {"$eq": [{"$toInt": "$documentKey._id"}, 1]}}},
        {"$addFields": {"n": {"$dateFromString": {"dateString": "$fullDocument.name"}}}},
    ],
    ids=["int", "date", "divide", "constant", "key", "date-from-string"],
)
def test_a_pipeline_that_trips_over_a_value(cage: Cage, stage: dict[str, Any]) -> None:
    cage.line.prepare()
    cage.write()
    cage.configure(source={"pipeline": [stage]})
    process = cage.line.catch_up()
    assert process.wait() in {1, 2}, process.stderr
    cage.assert_silent(process, process.wait())


def test_a_stored_position_that_is_damaged(cage: Cage) -> None:
    cage.line.prepare()
    cage.look_up_token()
    stored = json.loads(cage.line.checkpoint.read_text())
    data = stored["position"]["token"]["_data"]
    stored["position"]["token"]["_data"] = data[:20] + "FFFF" + data[24:]
    cage.canaries.add("damaged", stored["position"]["token"]["_data"])
    cage.line.checkpoint.write_text(json.dumps(stored))
    process = cage.line.catch_up()
    assert process.wait() == 1
    assert not cage.canaries.sung(process.stdout.encode() + process.stderr.encode())


def test_a_checkpoint_that_is_no_json(cage: Cage) -> None:
    cage.line.prepare()
    cage.line.checkpoint.write_text(f'{{"position": "{VALUE}" {PASSWORD}')
    process = cage.line.catch_up()
    assert process.wait() == 1
    assert not cage.canaries.sung(process.stdout.encode() + process.stderr.encode())


def test_the_table(cage: Cage) -> None:
    cage.line.prepare()
    cage.look_up_token()
    cage.write()
    cage.line.pubsub.fault("status", code="INVALID_ARGUMENT", times=-1)
    command = (PROGRAM, "run", "--config", cage.line.config)
    with OnTerminal(command, env=cage.line.env) as terminal:
        if cage.logging["format"] == "text":
            terminal.wait_for("last error main.orders")
        assert terminal.wait() == 1, terminal.text
    cage.search(terminal.raw.encode())


@before_any_log
@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://{USER}:{PASSWORD}@127.0.0.1/",
        f"mongodb://{USER}:{ENCODED}@127.0.0.1:port/",
        f"mongodb://{USER}:{ENCODED}@127.0.0.1/?authMechanism={VALUE}",
        f"mongodb://{USER}:{ENCODED}@127.0.0.1/?tls=true&tlsCAFile=/nonexistent/{VALUE}.pem",
        f"{USER}:{ENCODED}@127.0.0.1",
    ],
)
def test_a_uri_that_is_wrong(cage: Cage, uri: str) -> None:
    cage.configure(uri=uri)
    process = cage.line.catch_up()
    assert process.wait() in {1, 2}, process.stderr
    # The name of a certificate's file is no secret: it tells what is missing.
    assert not [name for name in cage.canaries.sung(process.stderr.encode()) if "value" not in name]


@before_any_log
@pytest.mark.parametrize(
    "text",
    [
        "mongodb: {connections: {main: {uri: [URI]}}}",
        "mongodb: {connections: {main: {uri: {URI: 1}}}}",
        "mongodb: {connections: {main: {url: 'URI'}}}",
        "mongodb: {connections: {main: {uri: 'URI', sources: {orders: {database: 7}}}}}",
        "mongodb: {connections: {main: 'URI'}}",
        "mongodb: 'URI'",
        "'URI'",
        "mongodb:\n  connections:\n   main:\n  uri: 'URI'\n : :",
        "mongodb: {connections: {main: {uri: 'URI', uri: 'URI'}}}",
        "mongodb: {connections: {main: {uri: 'URI', sources: {a: {startup: {token: 'TOKEN'}}}}}}",
        "mongodb: {connections: {main: {uri: 'URI', sources: {a: {startup: 'TOKEN'}}}}}",
    ],
)
def test_a_configuration_that_is_wrong(cage: Cage, text: str) -> None:
    cage.canaries.add("token", "8263BADC0FFEE0DDF00D")
    wrong = text.replace("URI", cage.uri).replace("TOKEN", "8263BADC0FFEE0DDF00Dx")
    cage.line.config.write_text(wrong)
    process = cage.line.catch_up()
    assert process.wait() == 2
    assert not cage.canaries.sung(process.stdout.encode() + process.stderr.encode())


@before_any_log
def test_a_dotenv_that_is_wrong(cage: Cage) -> None:
    (cage.line.folder / ".env").write_text(f"MONGODB_URI='{cage.uri}\nA B={UNUSED}\n")
    process = cage.line.catch_up()
    assert process.wait() == 2
    assert not cage.canaries.sung(process.stdout.encode() + process.stderr.encode())


def test_google_credentials_that_are_wrong(cage: Cage) -> None:
    key = cage.line.folder / "key.json"
    pem = f"-----BEGIN PRIVATE KEY-----\n{PRIVATE_KEY}\n-----END PRIVATE KEY-----\n"
    account = {
        "type": "service_account",
        "private_key": pem,
        "private_key_id": UNUSED,
        "client_email": "nobody@some-project.iam.gserviceaccount.com",
        "token_uri": "https://127.0.0.1:9/",
        "project_id": "some-project",
    }
    cage.line.prepare()
    cage.write()
    # Nothing listens there: no request leaves this machine, whatever becomes of the key.
    cage.configure(pubsub={"endpoint": "https://127.0.0.1:9"})
    for content in (json.dumps(account), pem, json.dumps({**account, "type": PRIVATE_KEY})):
        key.write_text(content)
        env = {"PUBSUB_EMULATOR_HOST": "", "GOOGLE_APPLICATION_CREDENTIALS": str(key)}
        run = ("run", "--config", str(cage.line.config), "--until-caught-up", "--timeout", "3s")
        with Process(*run, env=env) as process:
            assert process.wait() in {1, 3, 4}, process.stderr
        cage.search(process.stdout.encode() + process.stderr.encode())


def test_a_pipeline_on_beam(cage: Cage) -> None:
    command = ("beam", "--config", str(cage.line.config), f"--checkpoint={cage.line.folder}/state")
    env = {**cage.line.env, VARIABLE: str(prism_program())}
    with Process(*command, env=env) as process:
        eventually((cage.line.folder / "state/main.orders.json").exists, "the opening position")
        cage.write()
        cage.line.pubsub.wait(distinct_event_ids=5)
        process.signal(signal.SIGINT)
        assert process.wait() == 0, process.stderr
    assert any(VALUE.encode() in message.data for message in cage.line.pubsub.messages())
    cage.search(process.stdout.encode() + process.stderr.encode())


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (name, fault)
        for name, command in commands().items()
        if name != "run" and any("--config" in option.opts for option in command.params)
        for fault in ("none", "password", "uri", "key")
        # A pipeline that works has no end: the test above.
        if (name, fault) != ("beam", "none")
    ],
)
def test_every_other_command(cage: Cage, name: str, fault: str) -> None:
    dead_letter = {"file": {"path": str(cage.line.folder / "dead.jsonl")}}
    cage.configure(dead_letter=dead_letter)
    cage.line.prepare()
    cage.look_up_token()
    if name.startswith("dead-letter"):
        cage.line.pubsub.fault("status", code="INVALID_ARGUMENT", times=-1)
        cage.write()
        assert cage.line.catch_up().wait() == 0
    if fault == "password":
        cage.configure(uri=cage.uri.replace(ENCODED, f"{ENCODED}x"), dead_letter=dead_letter)
    elif fault == "uri":
        uri = f"mongodb://{USER}:{ENCODED}@127.0.0.1:port/"
        cage.configure(uri=uri, dead_letter=dead_letter)
    elif fault == "key":
        cage.line.config.write_text(f"mongodb: {{connections: {{main: {{url: '{cage.uri}'}}}}}}")
    required = {"--stream": STREAM, "--to": "latest", "--yes": None}
    command = [*name.split(), "--config", str(cage.line.config)]
    for option in commands()[name].params:
        for flag in required.keys() & set(option.opts):
            command += [flag, *filter(None, [required[flag]])]
    with Process(*command, env=cage.line.env) as process:
        assert process.wait() != ExitCode.USAGE or fault in {"uri", "key"}, process.stderr
    output = process.stdout.encode() + process.stderr.encode()
    if name in {"validate", "check"}:
        # Who connects is what they are asked for.
        output = output.replace(USER.encode(), b"")
    cage.search(output)
