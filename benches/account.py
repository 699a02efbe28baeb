"""Whether a drain was right: nothing lost, nothing twice, each document's events in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Published(NamedTuple):
    """One message as the fake received it."""

    event_id: str
    cluster_time: tuple[int, int]
    """Seconds and ordinal; each event of a backlog has its own."""
    received: float
    """When the fake took it, in seconds since the epoch, by this machine's clock."""


class Account(NamedTuple):
    """What went wrong with a backlog: all numbers are zero when all is well."""

    lost: int
    twice: int
    out_of_order: int
    """Events that came after a later event of the same document."""
    mixed_requests: int
    """Requests with more than one ordering key."""


def settle(published: Sequence[Published], documents: Sequence[int], mixed: int) -> Account:
    """Compares what was published with the documents that the events belong to, in stream order.

    The fake does not keep the messages' data, so an event is recognised by its cluster time: the
    `n`th smallest is that of the `n`th event. `mixed` is the fake's own count of requests with more
    than one ordering key.

    Raises:
        RuntimeError: Events share a cluster time, as newer servers may have it: the order of such
            a backlog cannot be checked.
    """
    first_seen: dict[str, Published] = {}
    for message in published:
        first_seen.setdefault(message.event_id, message)
    return Account(
        lost=len(documents) - len(first_seen),
        twice=len(published) - len(first_seen),
        out_of_order=_out_of_order(list(first_seen.values()), documents),
        mixed_requests=mixed,
    )


def _out_of_order(arrived: list[Published], documents: Sequence[int]) -> int:
    times = sorted({message.cluster_time for message in arrived})
    if len(arrived) != len(documents):
        return 0  # some are lost, which is reported: which document an event is of is not known
    if len(times) != len(documents):
        raise RuntimeError(f"{len(documents)} events have only {len(times)} cluster times")
    numbers = {time: number for number, time in enumerate(times)}
    newest: dict[int, int] = {}
    late = 0
    for message in arrived:
        number = numbers[message.cluster_time]
        document = documents[number]
        late += number < newest.get(document, -1)
        newest[document] = max(number, newest.get(document, -1))
    return late
