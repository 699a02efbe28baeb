"""Transforms that the configuration names: which are made, and what they do to a stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import bson
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from mongo_gcp_stream.beam import ChangeEvent
from mongo_gcp_stream.beam.pipeline import build_pipeline
from mongo_gcp_stream.beam.user_transforms import load_transforms
from mongo_gcp_stream.errors import ConfigError

from tests.support.beam_runner import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.beam_runner import PrismServer
    from tests.support.line import Line

MODULE = __name__


class AtLeast(beam.PTransform):
    """Keeps the orders with at least so many items."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self._items = items

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        items = self._items
        return pcoll | beam.Filter(lambda event: (event.full_document or {})["items"] >= items)


class Mark(beam.DoFn):
    """Writes a word into every document."""

    def __init__(self, word: str = "seen") -> None:
        self._word = word

    def process(self, element: ChangeEvent) -> Iterator[ChangeEvent]:
        event = bson.decode(element.raw)
        event["fullDocument"]["mark"] = self._word
        yield ChangeEvent.from_raw(element.stream, bson.encode(event))


NEITHER = object()


def described(name: str = "Mark", **keys: Any) -> dict[str, Any]:
    return {"name": name, "module": MODULE, **keys}


def section(*transforms: Any) -> dict[str, Any]:
    return {"transforms": list(transforms)}


def test_they_change_and_drop_what_is_published(
    line: Line, prism: PrismServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", line.pubsub.grpc_address)
    line.configure(
        source={"validation": {"on_invalid": "drop"}},
        transforms=section(
            described("AtLeast", config={"items": 3}), described(config={"word": "checked"})
        ),
        # Rules are for what the transforms leave.
        schemas={"main.orders": {"mark": {"type": "string", "required": True}}},
    )
    options = prism.options(f"--config_file={line.config}", "--resume=RESUME_OR_NEW")
    with running(build_pipeline(options)) as pipeline:
        pipeline.eventually(line.checkpoint.exists, "the opening position stored")
        line.collection.insert_many([{"_id": number, "items": number} for number in range(6)])
        line.pubsub.wait(distinct_event_ids=3)
    messages = [json.loads(message.data) for message in line.pubsub.messages()]
    documents = [message["fullDocument"] for message in messages]
    assert sorted(document["_id"] for document in documents) == [3, 4, 5]
    assert {document["mark"] for document in documents} == {"checked"}


def test_the_disabled_are_left_out_and_the_others_keep_their_place() -> None:
    loaded = load_transforms(section(described(), described(enabled=False), described()))
    assert [label for label, _ in loaded] == ["1 Mark", "3 Mark"]
    assert load_transforms(None) == load_transforms({}) == []


@pytest.mark.parametrize(
    ("transform", "path", "told"),
    [
        ("Mark", "", "expected a mapping"),
        ({"module": MODULE}, ".name", "missing"),
        ({"name": "Mark"}, ".module", "missing"),
        (described(enabled="yes"), ".enabled", "expected a bool"),
        (described(options={}), ".options", "unknown key"),
        (described(module="no.such.module"), ".module", "cannot be imported"),
        (described("NoSuch"), ".name", f"{MODULE} has no NoSuch"),
        (described("NEITHER"), ".name", "neither a PTransform nor a DoFn"),
        (described(config={"words": 1}), ".config", "unexpected keyword argument 'words'"),
        (described("AtLeast"), ".config", "missing a required argument: 'items'"),
    ],
)
def test_what_is_wrong_is_named(transform: Any, path: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_transforms(section(transform))
    assert caught.value.path == f"transforms.transforms[0]{path}"
    assert "enabled: false" in caught.value.hint


def test_nobody_is_warned_that_they_have_no_effect(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.configure(transforms=section(described()), monitoring={"health_check_interval": 60})
    build_pipeline(PipelineOptions(["--runner=PrismRunner"]), line.config)
    assert "health_check_interval" in caplog.text, "what has none is told"
    assert "transforms" not in caplog.text


def test_a_list_is_wanted() -> None:
    with pytest.raises(ConfigError, match="expected a list"):
        load_transforms({"transforms": described()})
