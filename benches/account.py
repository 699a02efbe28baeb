"""Whether a drain was right: nothing lost, nothing twice, each document's events in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scene import cluster_time, first_deliveries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scene import Delivered


class Account(NamedTuple):
    """What went wrong with a backlog: all numbers are zero when all is well."""

    lost: int
    twice: int
    out_of_order: int
    """Events that came after a later event of the same document."""
    mixed_requests: int
    """Requests with more than one ordering key."""


def settle(messages: Iterable[Delivered], documents: Sequence[int], mixed: int) -> Account:
    """Compares what was delivered with the documents that the events belong to, in stream order.

    The fake does not keep the messages' data, so an event is recognised by its cluster time: the
    `n`th smallest is that of the `n`th event. `mixed` is the fake's own count of requests with more
    than one ordering key.

    Raises:
        RuntimeError: Events share a cluster time, as newer servers may have it: the order of such
            a backlog cannot be checked.
    """
    delivered = list(messages)
    arrived = [cluster_time(message) for message in first_deliveries(delivered)]
    return Account(
        lost=len(documents) - len(arrived),
        twice=len(delivered) - len(arrived),
        # With some lost it is not known which document an event is of; that is reported as it is.
        out_of_order=_out_of_order(arrived, documents) if len(arrived) == len(documents) else 0,
        mixed_requests=mixed,
    )


def _out_of_order(arrived: Sequence[tuple[int, int]], documents: Sequence[int]) -> int:
    numbers = {time: number for number, time in enumerate(sorted(set(arrived)))}
    if len(numbers) != len(documents):
        raise RuntimeError(f"{len(documents)} events have only {len(numbers)} cluster times")
    newest: dict[int, int] = {}
    late = 0
    for time in arrived:
        number = numbers[time]
        before = newest.get(documents[number], -1)
        late += number < before
        newest[documents[number]] = max(number, before)
    return late
