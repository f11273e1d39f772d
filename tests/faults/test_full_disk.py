"""A disk so full that not even what was sent can be deleted from the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from event_monitor.publisher.spool import Spool

from ..contracts.sink import count
from ..support.endpoint import Endpoint
from ..support.spooled import batches_spooled
from ..support.waiting import wait_until
from .conftest import Mount, StartMonitor, fill

BATCHES = 12
SOON = 60  # seconds; only a broken monitor takes that long


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


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_kill_during_a_send_is_counted(
    mount: Mount, cloudwatch: Endpoint, start_monitor: StartMonitor
) -> None:
    """What was accepted before is not sent again; what may have arrived is, and that is told."""
    # Given a monitor whose disk is full since it has kept some windows
    state_dir = mount("size=600k") / "state"
    cloudwatch.misbehave("throttle")
    monitor = start_monitor(state_dir=state_dir)
    wait_until(lambda: batches_spooled(state_dir) >= 4, SOON, "some windows are kept")
    fill(state_dir / "filler")
    monitor.wait_for_output("disk is full")

    # When it is killed while it sends one of them, after others
    cloudwatch.strike("apply then hang", when=lambda _: len(windows(cloudwatch)) >= 2)
    cloudwatch.behave()
    wait_until(lambda: len(windows(cloudwatch)) == 3, SOON, "the third is applied")
    monitor.kill()
    before = windows(cloudwatch)
    cloudwatch.behave()
    successor = start_monitor(state_dir=state_dir)
    wait_until(lambda: cloudwatch.sum("PublishAmbiguous"), SOON, "it is counted")

    # Then
    assert successor.stop() == 0
    after = windows(cloudwatch)
    assert after[:4] == [*before, before[-1]]
    assert len(set(after)) == len(after) - 1
    assert cloudwatch.counts("PublishAmbiguous", "DatumsDropped") == {
        "PublishAmbiguous": 1,
        "DatumsDropped": 0,
    }


def windows(cloudwatch: Endpoint) -> list[float]:
    """Return the time of each window that was applied, in the order of arrival."""
    return [datum.timestamp for datum in cloudwatch.series("MonitorHeartbeat")]
