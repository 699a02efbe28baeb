"""The checkpoint that follows committed bundles, without a runner: what the next pipeline reads."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream
from mongo_gcp_stream.beam.readers import READERS
from mongo_gcp_stream.errors import StreamFailedError

from tests.support.bundles import Bundle, Reading, Source
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.reading import Shop


def pipeline(shop: Shop, state: Path, resume: Any, **arguments: Any) -> Reading:
    """A new pipeline of this process; the one before has ended."""
    READERS.close()
    checkpoint = {"store": "file", "path": str(state), "interval": "1h"}
    where = (shop.mongod.uri, shop.database, "orders")
    read = ReadFromMongoDBChangeStream(*where, resume=resume, checkpoint=checkpoint, **arguments)
    return Reading(Source(read))


def committed(reading: Reading) -> Bundle:
    bundle = reading.bundle()
    bundle.finalizer.finalize_bundle()
    return bundle


def numbers(reading: Reading) -> list[int]:
    batches = [output.value for output in reading.outputs]
    return [(event.full_document or {})["n"] for batch in batches for event in batch]


def until_the_end(replay: Reading) -> None:
    eventually(lambda: committed(replay) and replay.left is None, "the end")


def second(shop: Shop) -> datetime:
    last = shop.client.admin.command("ping")["operationTime"].time
    return datetime.fromtimestamp(last, timezone.utc)


def test_a_replay_that_ended_is_not_repeated(shop: Shop, tmp_path: Path) -> None:
    shop.insert(*range(7))
    end = {"end_at": second(shop), "options": {"startup": "earliest"}, "batch_size": 2}
    for resume, expected in (("RESUME_OR_NEW", list(range(7))), ("RESUME_OR_FAIL", [])):
        replay = pipeline(shop, tmp_path, resume, **end)
        until_the_end(replay)
        assert numbers(replay) == expected


def test_one_pipeline_of_a_process_goes_on_after_another(shop: Shop, tmp_path: Path) -> None:
    first = pipeline(shop, tmp_path, "RESUME_OR_NEW")
    eventually(lambda: committed(first) and first.left and first.left.position.after, "it opened")
    shop.insert(1)
    second = pipeline(shop, tmp_path, "RESUME_OR_FAIL")
    eventually(lambda: committed(second) and numbers(second), "what came meanwhile")
    assert numbers(second) == [1]


def test_an_opening_that_is_tried_again_finds_no_pipeline_before_itself(
    shop: Shop, tmp_path: Path
) -> None:
    first = pipeline(shop, tmp_path, "FAIL_IF_EXISTS")

    def opened() -> bool:
        left = first.start().end()
        return left is not None and left.position.after is not None

    eventually(opened, "it opened, and its bundle did not count")
    READERS.close()
    eventually(lambda: committed(first) and first.left and first.left.position.after, "it opened")
    shop.insert(1)
    eventually(lambda: committed(first) and numbers(first), "an event")

    other = pipeline(shop, tmp_path, "FAIL_IF_EXISTS")
    with pytest.raises(StreamFailedError, match="FAIL_IF_EXISTS") as caught:
        eventually(lambda: committed(other) and False, "an error")
    assert (caught.value.kind, caught.value.retryable) == ("Conflict", False)
    assert caught.value.hint.startswith("`resume` says")
