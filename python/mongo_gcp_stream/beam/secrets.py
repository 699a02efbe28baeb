"""Secrets that a pipeline names, and that its workers read."""

from __future__ import annotations

import os
import threading
from typing import Any

from mongo_gcp_stream.errors import MongoGcpStreamError

PREFIX = "secret://"

ENDPOINT_VARIABLE = "SECRET_MANAGER_EMULATOR_HOST"
"""Where Secret Manager is instead of Google's own: `host:port` of a fake without TLS, for tests."""

TIMEOUT_SECONDS = 30.0
"""How long Secret Manager may take; the client tries again within it."""

_values: dict[str, str] = {}
_lock = threading.Lock()


def is_reference(text: Any) -> bool:
    """Whether it names a secret, `secret://projects/P/secrets/S/versions/V`."""
    return isinstance(text, str) and text.startswith(PREFIX)


def resolve(reference: str) -> str:
    """The value of a secret, read once in a process with Application Default Credentials.

    Raises:
        MongoGcpStreamError: It cannot be read; the text names the secret and never holds a value.
    """
    with _lock:
        if reference not in _values:
            _values[reference] = _read(reference.removeprefix(PREFIX))
        return _values[reference]


def _read(name: str) -> str:
    # Half a second to import, and only pipelines with a secret need it.
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    try:
        version = _client().access_secret_version(name=name, timeout=TIMEOUT_SECONDS)
    except (GoogleAPIError, GoogleAuthError) as error:
        reason = getattr(error, "message", None) or type(error).__name__
        raise MongoGcpStreamError(
            f"the secret {name} cannot be read: {reason}",
            hint="Give the worker's service account the role roles/secretmanager.secretAccessor "
            "on it, and see that the version exists and is enabled.",
        ) from None
    try:
        text: str = version.payload.data.decode()
    except UnicodeDecodeError:
        # Not as its cause: it carries the bytes.
        raise MongoGcpStreamError(
            f"the secret {name} cannot be used: it is no text",
            hint="Store the connection string itself, with nothing around it.",
        ) from None
    return text.strip()


def _client() -> Any:
    from google.cloud import secretmanager  # noqa: PLC0415

    fake = os.environ.get(ENDPOINT_VARIABLE)
    if not fake:
        return secretmanager.SecretManagerServiceClient()
    import grpc  # noqa: PLC0415
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
        SecretManagerServiceGrpcTransport,
    )

    transport = SecretManagerServiceGrpcTransport(channel=grpc.insecure_channel(fake))
    return secretmanager.SecretManagerServiceClient(transport=transport)
