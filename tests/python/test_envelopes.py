"""The golden files of the envelopes, as Python sees them: the same that `cargo test` reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from bson.codec_options import DatetimeConversion
from mongo_gcp_stream import ConfigError, MongoGcpStreamError
from mongo_gcp_stream._core import __version__, transform_event

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
ENVELOPES = sorted(path.stem for path in (GOLDEN / "envelopes").glob("*.json"))
NOW_MS = 1_800_000_000_123

#: A date that no datetime holds stays one.
OPTIONS = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL,
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def read(path: str) -> Any:
    return json.loads((GOLDEN / path).read_text())


def bson_of(event: dict[str, Any]) -> bytes:
    return bson.encode(json_util.loads(json.dumps(event), json_options=OPTIONS))


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_messages_are_those_of_the_golden_file(envelope: str) -> None:
    cases = read(f"envelopes/{envelope}.json")
    assert len(cases) >= 10
    for case in cases:
        sent = transform_event(
            case["config"], "main.orders", bson_of(case["event"]), case["now_ms"]
        )
        expected = [
            (
                message["topic"],
                message["data"].replace("{version}", __version__).encode(),
                message["attributes"],
                message["ordering_key"],
            )
            for message in case["expected"]
        ]
        assert sent == expected, case["name"]


def test_every_envelope_has_a_golden_file() -> None:
    schema = json.loads((ROOT / "config" / "schema.json").read_text())
    assert sorted(choice["const"] for choice in schema["$defs"]["Envelope"]["oneOf"]) == ENVELOPES


def guide(page: str) -> str:
    """The first configuration on a page, with values for its variables."""
    text = (ROOT / "docs" / "guide" / page).read_text().split("```yaml\n")[1].split("```")[0]
    text = text.replace("${MONGODB_URI}", "mongodb://localhost")
    return text.replace("${GCP_PROJECT_ID}", "some-project")


def test_the_examples_in_the_guide_are_what_goes_out() -> None:
    text = (ROOT / "docs" / "guide" / "envelopes.md").read_text()
    event, *examples = (json.loads(part.split("```")[0]) for part in text.split("```json\n")[1:])
    config = guide("envelopes.md").replace("pubsub:\n", "pubsub:\n  attributes: [operation]\n")
    sent = transform_event(config, "main.orders", bson_of(event), NOW_MS)
    assert len(sent) == len(examples) == 5
    for (topic, data, attributes, _), example in zip(sent, examples, strict=True):
        assert attributes.pop("operation") == "update"
        assert {"data": json.loads(data), "attributes": attributes} == example, topic


def debezium_value(data: str | bytes, name: str) -> Any:
    """Parsed; where escapes of characters may differ, the texts inside, too."""
    value = json.loads(data)
    if "texts" in name:
        delta = value["updateDescription"] or {}
        for parent, key in ((value, "before"), (value, "after"), (delta, "updatedFields")):
            if parent.get(key):
                parent[key] = json.loads(parent[key])
    return repr(value)  # equal for NaN, too


def test_messages_are_those_that_debezium_sent() -> None:
    # The recording was made with the topic prefix `golden`.
    config = guide("debezium.md").replace("    main:\n", "    golden:\n")
    cases = read("debezium/recorded.json")
    assert len(cases) > 50
    for case in cases:
        event = base64.b64decode(case["event"])
        ((_, data, attributes, _),) = transform_event(config, "golden.orders", event, NOW_MS)
        expected = json.loads(case["value"])
        expected["ts_ms"] = NOW_MS
        expected["source"]["version"] = __version__
        name = case["name"]
        assert debezium_value(data, name) == debezium_value(json.dumps(expected), name), name
        assert attributes["key"] == case["ordering_key"], name


def test_rows_are_those_of_the_golden_file() -> None:
    plain = read("envelopes/change_event.json")[0]["config"]
    cases = read("bigquery_rows.json")
    assert len(cases) >= 8
    for case in cases:
        table = json.dumps({"dataset": "shop", "table": "orders", **case["bigquery"]})
        config = plain.replace("envelope: change_event", "envelope: bigquery_cdc")
        config = config.replace("name: shop-changes", f"name: rows, bigquery: {table}")
        sent = transform_event(config, "main.orders", bson_of(case["event"]), NOW_MS)
        rows = [json.loads(data) for _, data, _, _ in sent]
        assert rows == ([] if case["data"] is None else [case["data"]]), case["name"]


def test_what_cannot_be_done_is_an_error_of_its_kind() -> None:
    case = read("envelopes/document.json")[0]
    config, event = case["config"], case["event"]
    with pytest.raises(KeyError, match=r"main\.returns"):
        transform_event(config, "main.returns", bson_of(event), NOW_MS)
    with pytest.raises(ConfigError, match="envelope"):
        transform_event(
            config.replace("envelope: document", "envelope: paper"), "main.orders", b"", NOW_MS
        )
    with pytest.raises(MongoGcpStreamError, match="BSON"):
        transform_event(config, "main.orders", b"no event", NOW_MS)
    del event["fullDocument"]
    event["documentKey"] = {"_id": 2000 * "s"}
    with pytest.raises(MongoGcpStreamError, match="document_key") as refused:
        transform_event(config, "main.orders", bson_of(event), NOW_MS)
    assert "sss" not in str(refused.value)
