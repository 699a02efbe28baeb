"""Beam's runners: which read a stream, and why the others do not; known without Beam."""

from __future__ import annotations

RUNNERS = ("PrismRunner", "PortableRunner", "FlinkRunner", "DataflowRunner")

_NEVER_ENDS = "never ends a read of a stream, and fires no window"

#: Those that cannot, and why not.
CANNOT = {
    "DirectRunner": _NEVER_ENDS,
    "SwitchingDirectRunner": _NEVER_ENDS,
    "TestDirectRunner": _NEVER_ENDS,
    "FnApiRunner": _NEVER_ENDS,
    "BundleBasedDirectRunner": "cannot read a stream",
    "InteractiveRunner": "runs on the DirectRunner, which never ends a read of a stream",
}


def instead() -> str:
    """What to take."""
    return f"{', '.join(RUNNERS[:-1])} or {RUNNERS[-1]}"
