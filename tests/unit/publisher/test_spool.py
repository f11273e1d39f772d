"""The spool: nothing leaves it but by acknowledgement, age or size, and every loss is counted."""

from __future__ import annotations

import pytest

from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric
from event_monitor.publisher.spool import Batch, BatchId, Spool
from event_monitor.testing import FakeClock

from ...contracts.sink import NOW, count
from .conftest import OpenSpool, bulky, drain


def test_batches_come_back_whole_and_in_order(spool: Spool) -> None:
    """Oldest first, every field as it went in."""
    # Given
    runtime = Metric(
        "TaskRuntime",
        "Seconds",
        NOW + 0.5,
        Distribution((0.5, 2.0), (3, 1)),
        (("Environment", "prod"), ("TaskName", "café")),
    )
    first, second = (runtime, count(value=1)), (count(value=float("inf")),)

    # When
    spool.append(first)
    spool.append(second)

    # Then
    assert drain(spool) == [first, second]
    assert len(spool) == 0


def test_the_oldest_stays_until_it_is_acknowledged(spool: Spool) -> None:
    """Looking is not taking."""
    spool.append((count(),))

    first = spool.oldest()

    assert first is not None
    assert spool.oldest() == first
    assert len(spool) == 1


def test_the_oldest_is_as_old_as_the_time_since_it_was_appended(
    spool: Spool, clock: FakeClock
) -> None:
    """Whatever follows it; nothing is nothing old, and a clock stepped back makes nothing older."""
    assert spool.oldest_seconds() == 0
    spool.append((count(),))
    clock.advance(90)
    spool.append((count(),))
    clock.advance(10)

    assert spool.oldest_seconds() == 100
    first = spool.oldest()
    assert first is not None
    spool.acknowledge(first.id)
    assert spool.oldest_seconds() == 10
    clock.step_wall(-1_000)
    assert spool.oldest_seconds() == 0


def test_only_the_rest_of_a_batch_stays(spool: Spool) -> None:
    """After a partly failed send the rest keeps its place."""
    # Given
    spool.append((count(value=1), count(value=2), count(value=3)))
    spool.append((count(value=4),))
    batch = spool.oldest()
    assert batch

    # When
    spool.replace(batch.id, (count(value=3),))

    # Then
    assert spool.oldest() == Batch(batch.id, (count(value=3),))
    assert len(spool) == 2


def test_replacing_by_nothing_is_acknowledging(spool: Spool) -> None:
    """No rest, no batch."""
    spool.append((count(),))
    batch = spool.oldest()
    assert batch

    spool.replace(batch.id, ())

    assert spool.oldest() is None


def test_no_metrics_are_no_batch(spool: Spool) -> None:
    """An empty append leaves nothing to send."""
    spool.append(())

    assert spool.oldest() is None


def test_a_late_acknowledgement_hits_no_other_batch(spool: Spool) -> None:
    """Ids are not used twice, so acknowledging again does nothing."""
    spool.append((count(value=1),))
    batch = spool.oldest()
    assert batch
    spool.acknowledge(batch.id)
    spool.append((count(value=2),))

    spool.acknowledge(batch.id)

    assert len(spool) == 1


def test_a_stepped_clock_drops_nothing(spool: Spool, clock: FakeClock) -> None:
    """By it the first batch would be too old for CloudWatch, or from the future."""
    for number, seconds in enumerate((0, 20 * 86_400, -40 * 86_400, 20 * 86_400)):
        clock.step_wall(seconds)
        spool.append((count(value=number),))

    assert [metrics[0].value for metrics in drain(spool)] == [0, 1, 2, 3]
    assert spool.take_dropped() == 0


@pytest.mark.parametrize("state_dir", ["", None])
def test_a_full_spool_drops_the_oldest_and_counts_it(
    state_dir: str | None, open_spool: OpenSpool
) -> None:
    """The bound holds, the newest is kept, and what went is counted."""
    spool = open_spool(state_dir, megabytes=0.5)

    for seed in range(10):
        spool.append(bulky(seed))

    kept = drain(spool)
    assert kept == [bulky(seed) for seed in range(10 - len(kept), 10)]
    assert 1 <= len(kept) <= 5
    assert spool.take_dropped() == 23 * (10 - len(kept))


def test_a_batch_being_sent_is_not_dropped(open_spool: OpenSpool) -> None:
    """What may arrive any moment is not counted as lost."""
    # Given
    spool = open_spool(megabytes=0.5)
    spool.append(bulky(0))
    sending = spool.oldest()
    assert sending

    # When
    for seed in range(1, 10):
        spool.append(bulky(seed))
    spool.replace(sending.id, (count(value=7),))

    # Then
    batch = spool.oldest()
    assert batch == Batch(sending.id, (count(value=7),))


def test_what_cannot_be_written_costs_only_itself(spool: Spool) -> None:
    """A hostile event must not stop the camera: its metric is counted, the others stay."""
    spool.append((count(value=10**30), count(value=1), count(TaskName="\udc80")))

    batch = spool.oldest()
    assert batch is not None
    assert batch.metrics == (count(value=1),)
    assert spool.take_dropped() == 2


def test_what_comes_after_the_end_is_counted(spool: Spool) -> None:
    """What a late shot holds is lost, and has a number."""
    spool.close()

    spool.append((count(), count()))

    assert spool.take_dropped() == 2
    assert spool.oldest() is None


def test_a_batch_says_where_it_is(open_spool: OpenSpool) -> None:
    """Both stores number from 1, so the number alone would not do."""
    on_disk, in_memory = open_spool(), open_spool("")
    on_disk.append((count(),))
    in_memory.append((count(),))

    assert on_disk.oldest() == Batch(BatchId("disk", 1), (count(),))
    assert in_memory.oldest() == Batch(BatchId("memory", 1), (count(),))


def test_only_the_batch_being_sent_can_be_acknowledged(spool: Spool) -> None:
    """Neither one that is next, nor one of the other store, nor one that never was."""
    spool.append((count(value=1),))
    spool.append((count(value=2),))
    batch = spool.oldest()
    assert batch
    other = BatchId("memory" if batch.id.store == "disk" else "disk", batch.id.number)

    for batch_id in (BatchId(batch.id.store, 2), BatchId(batch.id.store, 3), other):
        spool.acknowledge(batch_id)
        spool.replace(batch_id, (count(value=9),))

    assert drain(spool) == [(count(value=1),), (count(value=2),)]
