"""How an event loop waits for the core without a thread of its own."""

from typing import Any, final

@final
class Bridge:
    """Wakes one event loop: watch `fileno()` for reading and call `drain()` when it is readable.

    Works in the process that made it.
    """

    def __new__(cls) -> Bridge: ...
    def fileno(self) -> int:
        """The descriptor that becomes readable."""
    def drain(self) -> list[tuple[int, bool, Any]]:
        """What has finished since the last call.

        For each: the number of the call, whether it worked, and its result or exception.
        """

@final
class Call:
    """A call under way."""

    def cancel(self) -> None:
        """Drops it."""
