"""A disk so full that not even what was sent can be deleted from the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from event_monitor.publisher.spool import Spool

from ..contracts.sink import count
from .conftest import Mount, fill

BATCHES = 12


@pytest.fixture
def open_spool() -> Iterator[Callable[[Path], Spool]]:
    """Return a function that opens a spool, which is closed at the end."""
    with ExitStack() as stack:

        def opened(folder: Path) -> Spool:
            spool = Spool(str(folder / "state"))
            stack.callback(spool.close)
            spool.open()
            return spool

        yield opened


def test_what_was_sent_is_not_sent_again_by_the_successor(
    mount: Mount, open_spool: Callable[[Path], Spool]
) -> None:
    """SQLite writes to its log to delete a batch, and there is no room for that either."""
    # Given a spool, on a small disk, whose log has never been written into its database
    folder = mount("size=300k")
    spool = open_spool(folder)
    for number in range(BATCHES):
        assert spool.append((count(value=number),), checkpoint=b"digests")
    fill(folder / "filler")
    spool.append(tuple(count(value=0, TaskName=f"task{number}") for number in range(3_000)))

    # When all is sent
    sent = 0
    while (batch := spool.oldest()) is not None:
        sent += len(batch.metrics)
        spool.acknowledge(batch.id)
    left = len(spool)
    spool.close()

    # Then
    assert (sent, left) == (BATCHES + 3_000, 0)
    successor = open_spool(folder)
    assert len(successor) == 0
    assert successor.checkpoint() == b"digests"
    assert successor.take_dropped() == 0
