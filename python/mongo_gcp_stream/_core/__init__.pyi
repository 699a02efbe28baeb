"""The Rust core: everything that moves data.

These stubs are also its documentation; the re-exports in `mongo_gcp_stream` are the public names.
At run time there is one module, the extension; here it is one file a subject.
"""

from typing import Literal

from mongo_gcp_stream._core._admin import (
    EffectiveValue,
    Finding,
    Step,
    Validation,
    check,
    setup,
    validate,
)
from mongo_gcp_stream._core._batch import ChangeBatch, ChangeEvent, Committed
from mongo_gcp_stream._core._bridge import Bridge, Call
from mongo_gcp_stream._core._config import resolve_file, resolve_mapping
from mongo_gcp_stream._core._dead_letter import (
    DeadLetter,
    Redriven,
    dead_letter_list,
    dead_letter_redrive,
)
from mongo_gcp_stream._core._emulator import Emulator, EmulatorStatistics
from mongo_gcp_stream._core._logging import (
    log_close,
    log_debug,
    log_format,
    log_open,
    log_take,
)
from mongo_gcp_stream._core._positions import (
    StoredPosition,
    position_clear,
    position_set,
    position_show,
)
from mongo_gcp_stream._core._publisher import Publisher, Unpublished
from mongo_gcp_stream._core._reading import Consumer, Reading, RetryDelays
from mongo_gcp_stream._core._runner import Failure, Runner, RunReport, StreamStatistics
from mongo_gcp_stream._core._sources import (
    Slice,
    Slices,
    Sources,
    position_at,
    position_time,
)
from mongo_gcp_stream._core._transform import transform_event
from mongo_gcp_stream._core._validator import Validator
from mongo_gcp_stream._core._writer import MessageBatch, Transform, Writer

__all__ = [
    "Bridge",
    "Call",
    "ChangeBatch",
    "ChangeEvent",
    "Committed",
    "Consumer",
    "DeadLetter",
    "EffectiveValue",
    "Emulator",
    "EmulatorStatistics",
    "Failure",
    "Finding",
    "MessageBatch",
    "Publisher",
    "Reading",
    "Redriven",
    "RetryDelays",
    "RunReport",
    "Runner",
    "Slice",
    "Slices",
    "Sources",
    "Step",
    "StoredPosition",
    "StreamStatistics",
    "Transform",
    "Unpublished",
    "Validation",
    "Validator",
    "Writer",
    "__version__",
    "check",
    "dead_letter_list",
    "dead_letter_redrive",
    "log_close",
    "log_debug",
    "log_format",
    "log_open",
    "log_take",
    "position_at",
    "position_clear",
    "position_set",
    "position_show",
    "position_time",
    "resolve_file",
    "resolve_mapping",
    "setup",
    "to_extended_json",
    "transform_event",
    "validate",
]

__version__: str

def to_extended_json(
    bson: bytes, mode: Literal["relaxed", "canonical", "simplified"] = "relaxed"
) -> bytes:
    """Turn one BSON document into MongoDB Extended JSON v2, as UTF-8 without line breaks.

    This is the format of the messages' data. Keys keep their order, duplicates included, and no
    object is made on the way: it costs one or two microseconds for a kilobyte.

    Args:
        bson: A document as the server sends it, such as `bson.encode({...})` gives.
        mode: `relaxed` writes numbers and dates as JSON readers expect them, and loses the
            difference between int32, int64 and whole doubles; `canonical` keeps every type;
            `simplified` wraps none, for readers that know nothing of MongoDB.

    Raises:
        ValueError: `bson` is not a valid document (the text names the field, never a value), or
            `mode` is none of these.

    Example:
        >>> import bson
        >>> to_extended_json(bson.encode({"n": 1}))
        b'{"n":1}'
        >>> to_extended_json(bson.encode({"n": 1}), "canonical")
        b'{"n":{"$numberInt":"1"}}'
    """
