"""A directory written by an earlier version is read in full: an update loses and repeats nothing.

``tests/support/state_dir_6f2cce7`` was written by the code of commit 6f2cce7, whose process ended
while it was sending the first batch. Never write it again: its bytes are the format.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric
from event_monitor.publisher.spool import Spool
from event_monitor.receiver.checkpoint import Checkpoint
from event_monitor.snapshot import TaskInFlight
from event_monitor.testing import FakeClock

WRITTEN_BY_6F2CCE7 = Path(__file__).parents[2] / "support" / "state_dir_6f2cce7"
NOW = 1_700_000_000.0  # when its first batch was appended; a minute later each of the others
PROD = ("Environment", "prod")

# Of the first batch one metric had arrived.
BATCH_BEING_SENT = (
    Metric("TasksFailed", "Count", NOW, 1, (PROD, ("TaskName", "proj.tasks.café"))),
    Metric("MonitorHeartbeat", "Count", NOW, 1, (PROD,)),
)
BATCH_OF_DISTRIBUTIONS = (
    Metric(
        "TaskRuntime",
        "Seconds",
        1_700_000_060.0,
        Distribution((0.00025, 0.5, 2.0, 3_600.0), (3, 1, 7, 2)),
        (PROD, ("TaskName", "proj.tasks.add")),
    ),
    Metric("QueueTime", "Seconds", 1_700_000_060.5, Distribution((0.0,), (1,))),
    Metric("LoadAverage", "None", 1_700_000_060.0, 0.1),
)
BATCH_OF_COUNTS = (
    Metric("TasksSent", "Count", 1_700_000_120.0, 0),
    Metric(
        "TasksStarted",
        "Count",
        1_700_000_120.0,
        9_223_372_036_854_775_808,
        (("WorkerName", "celery@host-1"),),
    ),
)
CHECKPOINT = Checkpoint(
    b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff",
    (
        TaskInFlight(
            uuid="5a0c2f0e-6a4a-4d1c-9a53-0f2f6a1f0a01",
            name="proj.tasks.résumé",
            worker="celery@host-1",
            pid=4242,
            sent_at=1_700_000_001.25,
            received_at=1_700_000_002.5,
            eta=1_700_000_030.0,
            started_at=1_700_000_031.75,
            running_since=1_700_000_032.125,
        ),
        TaskInFlight(uuid="5a0c2f0e-6a4a-4d1c-9a53-0f2f6a1f0a02", name=None),
        TaskInFlight(
            uuid="5a0c2f0e-6a4a-4d1c-9a53-0f2f6a1f0a03",
            name="proj.tasks.add",
            sent_at=1_700_000_100.0,
        ),
    ),
)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A copy, since a spool writes."""
    return shutil.copytree(WRITTEN_BY_6F2CCE7, tmp_path / "state")


@pytest.fixture(params=[False, True], ids=["resend", "drop"])
def drop_interrupted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def spool(state_dir: Path, drop_interrupted: bool) -> Iterator[Spool]:
    clock = FakeClock(wall=NOW + 3_600)
    spool = Spool(str(state_dir), drop_interrupted=drop_interrupted, clock=clock)
    spool.open()
    yield spool
    spool.close()


def test_every_batch_is_read_to_its_last_field(
    spool: Spool, state_dir: Path, drop_interrupted: bool
) -> None:
    """Oldest first; of the one being sent, the setting decides, and it is counted."""
    # When
    batches = []
    while batch := spool.oldest():
        batches.append(batch.metrics)
        spool.acknowledge(batch.id)

    # Then
    later = [BATCH_OF_DISTRIBUTIONS, BATCH_OF_COUNTS]
    assert batches == (later if drop_interrupted else [BATCH_BEING_SENT, *later])
    assert spool.take_dropped() == (2 if drop_interrupted else 0)
    assert spool.take_interrupted() == 1
    assert not list(state_dir.glob("*.corrupt-*"))


def test_the_checkpoint_is_read_to_its_last_field(spool: Spool) -> None:
    """The digests of the messages counted, and every time of the tasks in flight."""
    assert Checkpoint.decode(spool.checkpoint()) == CHECKPOINT


class TaskThen(msgspec.Struct):
    """A task in flight as commit 6f2cce7 read it: what it did not know was skipped."""

    uuid: str
    name: str | None
    worker: str | None
    pid: int | None
    sent_at: float | None
    received_at: float | None
    eta: float | None
    started_at: float | None
    running_since: float | None


class CheckpointThen(msgspec.Struct):
    """The same of a checkpoint."""

    digests: bytes
    flights: tuple[TaskThen, ...]


def test_an_earlier_version_reads_a_checkpoint_of_today(spool: Spool) -> None:
    """All that it knew, so that going back to it loses nothing either."""
    written = spool.checkpoint()
    assert written is not None
    then = msgspec.msgpack.decode(written, type=CheckpointThen)

    assert msgspec.msgpack.decode(CHECKPOINT.encode(), type=CheckpointThen) == then
    assert len(then.flights) == len(CHECKPOINT.in_flight)
