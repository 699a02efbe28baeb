"""Getting back the data of large messages that `oversize.policy: claim_check` keeps elsewhere.

```python
from mongo_gcp_stream import claim_check

def callback(message):  # of google.cloud.pubsub_v1
    data = claim_check.restore(message.data)
```
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Protocol

from mongo_gcp_stream.errors import MongoGcpStreamError

_EMULATOR = "STORAGE_EMULATOR_HOST"


class StorageClient(Protocol):
    """What is used of `google.cloud.storage.Client`."""

    def bucket(self, bucket_name: str) -> StorageBucket:
        """Return the bucket."""
        ...


class StorageBucket(Protocol):
    """What is used of `google.cloud.storage.Bucket`."""

    def blob(self, blob_name: str) -> StorageBlob:
        """Return the object."""
        ...


class StorageBlob(Protocol):
    """What is used of `google.cloud.storage.Blob`."""

    def download_as_bytes(self) -> bytes:
        """Return the object's content."""
        ...


class ClaimCheckError(MongoGcpStreamError):
    """The data of a large message is not there, or not what the message says."""


def restore(data: bytes, client: StorageClient | None = None) -> bytes:
    """Return the data of a message: what it refers to, or `data` itself where it is whole.

    Size and checksum are compared with those in the message.

    Args:
        data: The data of the message.
        client: A `google.cloud.storage.Client` for references to Cloud Storage. Without one the
            default one is made at each call, or the emulator that `STORAGE_EMULATOR_HOST` names
            is asked.

    Raises:
        ClaimCheckError: The data is not there, or is not what the message says.
    """
    reference = _reference(data)
    if reference is None:
        return data
    uri = reference["uri"]
    payload = _read(uri, client)
    if len(payload) != reference["size"]:
        message = f"{uri} has {len(payload)} bytes, not {reference['size']}"
        raise ClaimCheckError(message)
    if base64.b64encode(crc32c(payload).to_bytes(4, "big")).decode() != reference["crc32c"]:
        message = f"{uri} has another checksum than the message says"
        raise ClaimCheckError(message)
    return payload


def _reference(data: bytes) -> dict[str, Any] | None:
    """Return the reference that the data is; `None` where it is something else."""
    if not data.startswith(b'{"claim_check":'):
        return None
    try:
        reference = json.loads(data)["claim_check"]
    except ValueError:
        return None
    whole = isinstance(reference, dict) and {"uri", "size", "crc32c"} <= reference.keys()
    return reference if whole else None


def _read(uri: str, client: StorageClient | None) -> bytes:
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        try:
            return Path(urllib.request.url2pathname(parts.path)).read_bytes()
        except OSError as error:
            message = f"{uri} cannot be read: {error.strerror}"
            raise ClaimCheckError(message) from error
    if parts.scheme != "gs":
        message = f"{uri} is neither in Cloud Storage nor a file"
        raise ClaimCheckError(message)
    bucket, name = uri.removeprefix("gs://").split("/", 1)
    emulator = os.environ.get(_EMULATOR)
    if client is None and emulator:
        return _read_from_emulator(uri, emulator, bucket, name)
    if client is None:
        client = _client(uri)
    try:
        payload = client.bucket(bucket).blob(name).download_as_bytes()
    except Exception as error:  # the client's errors are no dependency of this package
        message = f"{uri} cannot be read: {type(error).__name__}"
        raise ClaimCheckError(message) from error
    return payload


def _client(uri: str) -> StorageClient:
    try:
        storage = importlib.import_module("google.cloud.storage")
    except ImportError as error:
        message = f"{uri} is read with google-cloud-storage: pip install google-cloud-storage"
        raise ClaimCheckError(message) from error
    client: StorageClient = storage.Client()
    return client


def _read_from_emulator(uri: str, host: str, bucket: str, name: str) -> bytes:
    root = host if "://" in host else f"http://{host}"
    path = f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(root.rstrip("/") + path) as response:
            payload: bytes = response.read()
    except OSError as error:
        message = f"{uri} cannot be read: {error}"
        raise ClaimCheckError(message) from error
    return payload


def _table() -> list[int]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the checksum (Castagnoli), by Google's C library where it is installed."""
    try:
        fast = importlib.import_module("google_crc32c")
    except ImportError:
        value = 0xFFFFFFFF
        for byte in data:
            value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
        return value ^ 0xFFFFFFFF
    result: int = fast.value(data)
    return result
