"""TLS to both sides, certificates as users, and the credentials of Google Cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
from mongo_gcp_stream.cli.exit_codes import ExitCode
from mongo_gcp_stream.testing import Mongod
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.support.certificates import Authority, ServiceAccount
from tests.support.order import assert_delivered
from tests.support.orders import Orders
from tests.support.runner import Process
from tests.support.secure_pubsub import MetadataServer, SecurePubSub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.line import Line

PASSWORD = "s3cretPassword"  # noqa: S105 - of a server that lives for a test


class SecureMongod:
    """A mongod that speaks TLS only, and its users' ways to it."""

    def __init__(self, server: Mongod, authority: Authority) -> None:
        self._server = server
        self._authority = authority
        self.client: MongoClient[dict[str, Any]] = MongoClient(self.uri(authority))

    def uri(self, trusted: Authority) -> str:
        """The connection string of a user with a password."""
        tls = f"tls=true&tlsCAFile={quote_plus(str(trusted.certificate))}"
        return f"{self._server.uri}&{tls}"

    def uri_of(self, user: str) -> str:
        """Make a user who is known by a certificate, and return the connection string."""
        file, subject = self._authority.client(user)
        self.client["$external"].command(
            "createUser", subject, roles=[{"role": "readAnyDatabase", "db": "admin"}]
        )
        options = {
            "replicaSet": "rs0",
            "authSource": "$external",
            "authMechanism": "MONGODB-X509",
            "tls": "true",
            "tlsCAFile": str(self._authority.certificate),
            "tlsCertificateKeyFile": str(file),
        }
        query = "&".join(f"{name}={quote_plus(value)}" for name, value in options.items())
        return f"mongodb://{self._server.host}/?{query}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.server()


@pytest.fixture(scope="module")
def secure(authority: Authority, certificate: Path) -> Iterator[SecureMongod]:
    arguments = (
        "--tlsMode=allowTLS",
        f"--tlsCertificateKeyFile={certificate}",
        f"--tlsCAFile={authority.certificate}",
        "--tlsAllowConnectionsWithoutCertificates",
    )
    with Mongod(password=PASSWORD, arguments=arguments) as server:
        with server.client() as plain:
            # It was set up in the clear; from here on nothing is.
            for mode in ("preferTLS", "requireTLS"):
                plain.admin.command("setParameter", 1, tlsMode=mode)
        mongod = SecureMongod(server, authority)
        with mongod.client:
            yield mongod


def assert_streams(line: Line, secure: SecureMongod, uri: str) -> None:
    """Assert that what is written to the mongod arrives."""
    line.configure(uri=uri)
    line.prepare()
    orders = Orders(secure.client[line.database].orders)
    orders.write(20)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    line.assert_delivered(orders)


def test_mongodb_over_tls(line: Line, secure: SecureMongod, authority: Authority) -> None:
    assert_streams(line, secure, secure.uri(authority))


def test_a_user_who_is_known_by_a_certificate(line: Line, secure: SecureMongod) -> None:
    assert_streams(line, secure, secure.uri_of("reader"))


def test_a_server_of_another_authority_is_not_spoken_to(
    line: Line, secure: SecureMongod, tmp_path: Path
) -> None:
    uri = secure.uri(Authority(tmp_path, "stranger"))
    line.configure(uri=uri, monitoring={"connection_timeout": 500})
    process = line.catch_up()
    assert process.wait() == ExitCode.FAILED, process.stderr
    assert "certificate" in process.stderr
    assert PASSWORD not in process.stderr


def test_a_mongod_that_wants_tls_takes_nothing_else(secure: SecureMongod) -> None:
    uri = secure.uri_of("stranger").partition("?")[0]
    with (
        MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=500) as client,
        pytest.raises(PyMongoError),
    ):
        client.admin.command("ping")


@pytest.fixture
def on_google_cloud(
    line: Line, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    """The environment of a machine that has no credentials of a person."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    line.prepare()
    return {
        "HOME": str(tmp_path),
        "PUBSUB_EMULATOR_HOST": "",
        "SSL_CERT_FILE": str(authority.certificate),
    }


def catch_up(line: Line, pubsub: SecurePubSub, env: dict[str, str]) -> Process:
    """Publish to this Pub/Sub until caught up."""
    line.configure(pubsub={"endpoint": pubsub.endpoint})
    run = ("run", "--config", str(line.config), "--until-caught-up")
    with Process(*run, env=env) as process:
        process.wait()
        return process


def test_a_service_account_signs_its_token_itself(
    line: Line, on_google_cloud: dict[str, str], certificate: Path, tmp_path: Path
) -> None:
    account = ServiceAccount(tmp_path)
    env = {**on_google_cloud, "GOOGLE_APPLICATION_CREDENTIALS": str(account.file)}
    orders = line.orders()
    orders.write(20)
    with SecurePubSub(certificate) as pubsub:
        process = catch_up(line, pubsub, env)
        assert process.wait() == 0, process.stderr
    assert_delivered(pubsub.messages, orders.revisions)
    (authorization,) = set(pubsub.authorizations)
    scheme, _, token = authorization.partition(" ")
    assert scheme == "Bearer"
    assert account.claims(token)["iss"] == ServiceAccount.EMAIL


def test_a_refused_token_is_renewed_once_for_all_lanes(
    line: Line, on_google_cloud: dict[str, str], certificate: Path
) -> None:
    orders = line.orders()
    orders.write(40)
    with (
        MetadataServer() as metadata,
        SecurePubSub(certificate, refused=("Bearer token-1",)) as pubsub,
    ):
        process = catch_up(line, pubsub, {**on_google_cloud, "GCE_METADATA_HOST": metadata.host})
        assert process.wait() == 0, process.stderr
    assert_delivered(pubsub.messages, orders.revisions)
    assert set(pubsub.authorizations) == {"Bearer token-1", "Bearer token-2"}
    assert metadata.asked == 2


def test_a_machine_that_has_just_booted_gets_its_first_token_late(
    line: Line, on_google_cloud: dict[str, str], certificate: Path
) -> None:
    orders = line.orders()
    orders.write(20)
    with MetadataServer(not_ready=3) as metadata, SecurePubSub(certificate) as pubsub:
        process = catch_up(line, pubsub, {**on_google_cloud, "GCE_METADATA_HOST": metadata.host})
        assert process.wait() == 0, process.stderr
    assert_delivered(pubsub.messages, orders.revisions)
    assert set(pubsub.authorizations) == {"Bearer token-4"}


def test_an_authority_that_the_machine_does_not_know_gets_no_token(
    line: Line, on_google_cloud: dict[str, str], certificate: Path, tmp_path: Path
) -> None:
    line.orders().write(1)
    stranger = Authority(tmp_path, "stranger").certificate
    with MetadataServer() as metadata, SecurePubSub(certificate) as pubsub:
        line.configure(pubsub={"endpoint": pubsub.endpoint})
        env = {"GCE_METADATA_HOST": metadata.host, "SSL_CERT_FILE": str(stranger)}
        run = ("run", "--config", str(line.config))
        with Process(*run, env={**on_google_cloud, **env}) as process:
            process.wait_for_line("publishing failed")
    assert not pubsub.authorizations
