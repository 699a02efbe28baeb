"""A connection string that only the workers see."""

from __future__ import annotations

import base64
import bz2
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import grpc
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud.secretmanager_v1.types import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
)
from mongo_gcp_stream.beam import (
    ReadFromMongoDBChangeStream,
    ValidateAndEnrich,
    WriteToPubSub,
    secrets,
)
from mongo_gcp_stream.beam.options import MongoDBToPubSubOptions
from mongo_gcp_stream.beam.pipeline import build_pipeline
from mongo_gcp_stream.beam.settings import Settings
from mongo_gcp_stream.errors import MongoGcpStreamError

from tests.support import steps
from tests.support.beam_runner import prism_runner_options, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mongo_gcp_stream._core import MessageBatch

    from tests.support.beam_runner import PrismServer
    from tests.support.line import Line

REFERENCE = "secret://projects/mine/secrets/mongodb/versions/latest"
CANARY = "canary-s3cr3t"
PAR_DO = "beam:transform:pardo:v1"

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
    assert REFERENCE.encode() in pickled(read)
    seen = [pickled(read), *job(pipeline), repr(read).encode(), repr(read.display_data()).encode()]
    assert not [text for text in seen if CANARY.encode() in text]


def pickled(transform: beam.PTransform) -> bytes:
    """What Beam pickles, without its compression and its text of bytes."""
    return bz2.decompress(base64.b64decode(pickler.dumps(transform)))


def job(pipeline: beam.Pipeline) -> list[bytes]:
    """All that a job holds: as it is, and what is pickled in it."""
    proto = pipeline.to_runner_api()
    seen = [proto.SerializeToString()]
    for transform in proto.components.transforms.values():
        if transform.spec.urn == PAR_DO:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            seen.append(bz2.decompress(base64.b64decode(payload.do_fn.payload)))
    assert len(seen) > 2, "the steps were looked into"
    return seen


def test_a_value_that_is_given_itself_would_be_found() -> None:
    """The search is one that finds: a connection string itself travels with the pipeline."""
    uri = f"mongodb://user:{CANARY}@localhost/?replicaSet=rs0"
    read = ReadFromMongoDBChangeStream(uri, "shop", "orders")
    pipeline = beam.Pipeline(options=prism_runner_options())
    _ = pipeline | read | WriteToPubSub("projects/mine/topics/shop")
    assert CANARY.encode() in pickled(read)
    assert [text for text in job(pipeline) if CANARY.encode() in text]


def config(**sections: Any) -> dict[str, Any]:
    uri = f"mongodb://user:{CANARY}@localhost/?replicaSet=rs0"
    rules = [{"path": "name", "action": "hash"}]
    orders = {"database": "shop", "collection": "orders", "protect": rules}
    return {
        "mongodb": {"connections": {"main": {"uri": uri, "sources": {"orders": orders}}}},
        "gcp": {"project_id": "mine"},
        "pubsub": {"topics": {"default": {"name": "shop"}}},
        **sections,
    }


def test_what_connects_to_no_mongodb_takes_no_password_along() -> None:
    key = {"key": "a key of sixteen bytes"}
    given = config(protection=key, checkpoint=stored(f"mongodb://user:{CANARY}@other/"))
    topic = "projects/mine/topics/shop"
    transforms = (
        ValidateAndEnrich(given),
        WriteToPubSub(config=given),
        WriteToPubSub(topic, config=given),
    )
    for transform in transforms:
        assert CANARY.encode() not in pickled(transform)


def test_a_read_that_follows_no_checkpoint_takes_no_password_of_it_along() -> None:
    key = {"key": "a key of sixteen bytes"}
    given = config(protection=key, checkpoint=stored(f"mongodb://user:{CANARY}@other/"))
    given["mongodb"]["connections"]["main"]["uri"] = REFERENCE
    assert CANARY.encode() not in pickled(ReadFromMongoDBChangeStream(config=given))
    follows = ReadFromMongoDBChangeStream(config=given, resume="RESUME_OR_NEW")
    assert CANARY.encode() in pickled(follows), "one that does needs it"


def test_the_store_of_the_checkpoint_may_be_a_secret() -> None:
    name = REFERENCE.removeprefix(secrets.PREFIX)
    value = f"mongodb://user:{CANARY}@localhost/"
    given = config(protection={"key": "a key of sixteen bytes"}, checkpoint=stored(REFERENCE))
    given["mongodb"]["connections"]["main"]["uri"] = "mongodb://localhost/?replicaSet=rs0"
    with secret_manager({name: value}) as asked:
        read = ReadFromMongoDBChangeStream(config=given, resume="RESUME_OR_NEW")
        assert asked == [], "not before a worker wants it"
        resolved = json.loads(Settings.given(given).resolved())
    assert resolved["checkpoint"]["uri"] == value
    assert REFERENCE.encode() in pickled(read)
    assert CANARY.encode() not in pickled(read)


def stored(uri: str) -> dict[str, str]:
    return {"store": "mongodb", "uri": uri}


def test_a_connection_among_the_options_does_not_go_to_the_runner() -> None:
    uri = f"mongodb://user:{CANARY}@localhost/?replicaSet=rs0"
    options = PipelineOptions(
        [
            "--runner=PrismRunner",
            f"--mongodb_uri={uri}",
            "--database=shop",
            "--output_topic=projects/mine/topics/shop",
        ]
    )
    pipeline = build_pipeline(options)
    assert CANARY not in str(pipeline.options.get_all_options(retain_unknown_options=True))
    assert options.view_as(MongoDBToPubSubOptions).mongodb_uri == uri, "the caller's own stay"


def test_the_key_of_protection_may_be_a_secret() -> None:
    key = "projects/mine/secrets/key/versions/1"
    given = config(protection={"key": f"{secrets.PREFIX}{key}"})
    batch = steps.batch(steps.event(1, name="Ann"))
    told: dict[str, list[MessageBatch]] = {}
    with secret_manager({key: f"{CANARY} of sixteen bytes"}) as asked:
        enrich = ValidateAndEnrich(given)
        assert asked == [], "not before a worker wants it"
        told["secret"] = steps.Step(enrich, "Apply").bundle(batch)
        assert asked == [key]
        assert CANARY.encode() not in pickled(enrich)
    itself = config(protection={"key": f"{CANARY} of sixteen bytes"})
    told["itself"] = steps.Step(ValidateAndEnrich(itself), "Apply").bundle(batch)
    first, second = ([made.to_bytes() for made in found] for found in told.values())
    assert first == second


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
