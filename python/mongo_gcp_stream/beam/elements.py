"""How the elements of our transforms travel between stages that are not fused."""

from __future__ import annotations

from typing import Any

from apache_beam.coders import Coder, registry

from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch


class _ElementCoder(Coder):
    """Elements that write themselves as bytes with a version; the same element, the same bytes."""

    element: Any

    def encode(self, value: Any) -> bytes:
        written: bytes = value.to_bytes()
        return written

    def decode(self, encoded: bytes) -> Any:
        return self.element.from_bytes(encoded)

    def estimate_size(self, value: Any) -> int:
        """About as many bytes as `encode` would write: Beam samples it, also where it fuses."""
        size: int = value.nbytes
        return size

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return self.element

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class ChangeBatchCoder(_ElementCoder):
    """`ChangeBatch`: stream and raw events."""

    element = ChangeBatch


class MessageBatchCoder(_ElementCoder):
    """`MessageBatch`: stream and messages as they go out."""

    element = MessageBatch


class ChangeEventCoder(_ElementCoder):
    """`ChangeEvent`: stream and raw event, as a batch of one."""

    element = ChangeEvent

    def encode(self, value: ChangeEvent) -> bytes:
        return value.as_batch().to_bytes()

    def decode(self, encoded: bytes) -> ChangeEvent:
        return ChangeBatch.from_bytes(encoded)[0]

    def estimate_size(self, value: ChangeEvent) -> int:
        return len(value.raw)


registry.register_coder(ChangeBatch, ChangeBatchCoder)
registry.register_coder(ChangeEvent, ChangeEventCoder)
registry.register_coder(MessageBatch, MessageBatchCoder)
