"""A connection string that only the workers see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import grpc
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud.secretmanager_v1.types import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
)
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, WriteToPubSub, secrets
from mongo_gcp_stream.errors import MongoGcpStreamError

from tests.support.beam_runner import prism_runner_options, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.beam_runner import PrismServer
    from tests.support.line import Line

REFERENCE = "secret://projects/mine/secrets/mongodb/versions/latest"
CANARY = "canary-s3cr3t"

ACCESS = "AccessSecretVersion"
SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"


@contextmanager
def secret_manager(values: dict[str, str]) -> Iterator[list[str]]:
    """A Secret Manager over gRPC with these values; gives the names that were asked for."""
    asked: list[str] = []

    def access(request: Any, context: Any) -> Any:
        asked.append(request.name)
        if request.name not in values:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "Permission denied on resource")
        payload = {"data": values[request.name].encode(errors="surrogateescape")}
        return AccessSecretVersionResponse(name=request.name, payload=payload)

    method = grpc.unary_unary_rpc_method_handler(
        access,
        request_deserializer=AccessSecretVersionRequest.deserialize,
        response_serializer=AccessSecretVersionResponse.serialize,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {ACCESS: method})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(secrets.ENDPOINT_VARIABLE, f"127.0.0.1:{port}")
        patch.setattr(secrets, "_values", {})
        yield asked
    server.stop(None).wait()


def test_a_pipeline_reads_with_a_secret(
    line: Line, prism: PrismServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", line.pubsub.grpc_address)
    name = REFERENCE.removeprefix(secrets.PREFIX)
    read = ReadFromMongoDBChangeStream(
        REFERENCE,
        line.database,
        "orders",
        resume="RESUME_OR_NEW",
        checkpoint={"store": "file", "path": str(line.folder / "state")},
    )
    pipeline = beam.Pipeline(options=prism.options())
    _ = pipeline | read | WriteToPubSub(line.topic)
    orders = line.orders()
    with secret_manager({name: f"{line.mongod.uri}\n"}) as asked, running(pipeline) as run:
        run.eventually(line.checkpoint.exists, "the opening position stored")
        orders.write(50)
        line.pubsub.wait(distinct_event_ids=orders.written)
    assert asked == [name], "once, and not before a worker wanted it"


def test_the_value_is_nowhere_in_a_job() -> None:
    name = REFERENCE.removeprefix(secrets.PREFIX)
    value = f"mongodb://user:{CANARY}@localhost/?replicaSet=rs0"
    with secret_manager({name: value}):
        assert secrets.resolve(REFERENCE) == value
        read = ReadFromMongoDBChangeStream(REFERENCE, "shop", "orders")
        pipeline = beam.Pipeline(options=prism_runner_options())
        _ = pipeline | read | WriteToPubSub("projects/mine/topics/shop")
        seen = [
            pickler.dumps(read),
            pipeline.to_runner_api().SerializeToString(),
            repr(read).encode(),
            repr(read.display_data()).encode(),
        ]
    assert REFERENCE.encode() in pickler.loads(seen[0])._settings.text.encode()  # noqa: SLF001
    assert not [text for text in seen if CANARY.encode() in text]


def test_a_secret_that_cannot_be_read_is_named_and_told_what_to_do() -> None:
    with secret_manager({}), pytest.raises(MongoGcpStreamError) as caught:
        secrets.resolve(REFERENCE)
    assert str(caught.value).startswith("the secret projects/mine/secrets/mongodb/versions/latest")
    assert "roles/secretmanager.secretAccessor" in caught.value.hint


def test_a_secret_that_is_no_text_is_named_and_not_shown() -> None:
    name = REFERENCE.removeprefix(secrets.PREFIX)
    with secret_manager({name: f"{CANARY}\udcff"}), pytest.raises(MongoGcpStreamError) as caught:
        secrets.resolve(REFERENCE)
    assert f"the secret {name} cannot be used" in str(caught.value)
    told = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
    assert CANARY not in told
    assert caught.value.__suppress_context__


def test_a_pipeline_is_not_what_reads_a_secret() -> None:
    """Nobody is asked while it is built."""
    with secret_manager({}) as asked:
        pipeline = beam.Pipeline(options=PipelineOptions(["--runner=PrismRunner"]))
        _ = pipeline | ReadFromMongoDBChangeStream(REFERENCE, "shop", "orders")
    assert asked == []
