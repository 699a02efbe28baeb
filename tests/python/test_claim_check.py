"""What a claim check refers to comes back whole, or not at all."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.claim_check import ClaimCheckError, crc32c, restore

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = b'{"fullDocument": {"text": "123456789"}}'


def reference(uri: str, payload: bytes = PAYLOAD, **other: object) -> bytes:
    """The data of a message, as the program writes it."""
    checksum = base64.b64encode(crc32c(payload).to_bytes(4, "big")).decode()
    keys = {"uri": uri, "size": len(payload), "crc32c": checksum, **other}
    return json.dumps({"claim_check": keys}, separators=(",", ":")).encode()


@pytest.mark.parametrize("installed", [True, False])
def test_the_checksum_is_castagnolis(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "google_crc32c", None)
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize(
    "data", [PAYLOAD, b"", b"\x1f\x8b", b'{"claim_check": 1}', b'{"claim_check":']
)
def test_other_data_comes_back_as_it_is(data: bytes) -> None:
    assert restore(data) == data


def test_a_file_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "a b.json"
    file.write_bytes(PAYLOAD)
    assert restore(reference(file.as_uri())) == PAYLOAD


def test_what_is_not_what_the_message_says_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(PAYLOAD)
    with pytest.raises(ClaimCheckError, match="bytes"):
        restore(reference(file.as_uri(), size=1))
    with pytest.raises(ClaimCheckError, match="checksum"):
        restore(reference(file.as_uri(), PAYLOAD[:-1] + b" "))
    with pytest.raises(ClaimCheckError, match="cannot be read"):
        restore(reference((tmp_path / "none.json").as_uri()))
    with pytest.raises(ClaimCheckError, match="neither"):
        restore(reference("s3://bucket/name"))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    with pytest.raises(ClaimCheckError, match="pip install google-cloud-storage"):
        restore(reference("gs://bucket/name"))
