"""Documents as Python holds them: into BSON and JSON, and to a field by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mongo_gcp_stream._core import to_extended_json


def to_bson(document: Mapping[str, Any]) -> bytes:
    """Encode a document; a `uuid.UUID` becomes binary data of subtype 4.

    Raises:
        ValueError: A value has no place in BSON. The text names no value.
    """
    # Only who has a document needs pymongo: the command line starts without it.
    import bson.errors  # noqa: PLC0415
    from bson.binary import UuidRepresentation  # noqa: PLC0415
    from bson.codec_options import CodecOptions  # noqa: PLC0415

    options: CodecOptions[dict[str, Any]] = CodecOptions(
        uuid_representation=UuidRepresentation.STANDARD
    )
    try:
        return bson.encode(document, codec_options=options)
    except (bson.errors.BSONError, ValueError, OverflowError, RecursionError) as error:
        # pymongo quotes the value.
        message = f"the document is not BSON ({type(error).__name__})"
        raise ValueError(message) from None


def to_json(document: Mapping[str, Any]) -> bytes:
    """Write a document as relaxed Extended JSON v2, as the messages of the line have it.

    Raises:
        ValueError: A value has no place in BSON. The text names no value.
    """
    return to_extended_json(to_bson(document))


MISSING = object()
"""What :func:`find` gives where there is no such field; null is a value."""


def find(document: object, path: str) -> Any:  # noqa: ANN401 -- whatever the document holds
    """Return the field at a dotted path, as the rules of `schemas` find it."""
    found = document
    for name in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(name, MISSING)
        elif isinstance(found, list | tuple) and name.isdecimal() and str(int(name)) == name:
            found = found[int(name)] if int(name) < len(found) else MISSING
        else:
            return MISSING
    return found
