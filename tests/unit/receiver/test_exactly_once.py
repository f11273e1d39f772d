"""Exactly once: what is remembered of messages stays bounded, over any number of restarts."""

from __future__ import annotations

from event_monitor.receiver.checkpoint import Checkpoint
from event_monitor.receiver.exactly_once import ExactlyOnce
from event_monitor.receiver.ledger import Ledger
from event_monitor.settings import Settings
from event_monitor.snapshot import AckToken, Snapshot, TaskInFlight, Window

PREFETCH = 100


def resumed(checkpoint: Checkpoint) -> ExactlyOnce:
    settings = Settings(durable_queue="q", state_dir="/x", durable_prefetch=PREFETCH)
    process = ExactlyOnce(settings)
    process.restore(checkpoint)
    return process


def snapshot(first: int, count: int) -> Snapshot:
    digests = tuple(number.to_bytes(8, "big") for number in range(first, first + count))
    return Snapshot(Window(0.0, 60.0), ack_tokens=(AckToken("s", first + count, digests),))


def test_a_checkpoint_does_not_grow_with_restarts() -> None:
    """Each process takes over what the last one wrote."""
    checkpoint, sizes = Checkpoint(), set()
    for restart in range(8):
        process = resumed(checkpoint)
        checkpoint = Checkpoint.decode(process.checkpoint(snapshot(restart * 1_000, 5 * PREFETCH)))
        sizes.add(Ledger.count(checkpoint.digests))
    assert sizes == {PREFETCH}


def test_the_last_messages_counted_are_known_to_the_next_process() -> None:
    """As many as may come again."""
    first = resumed(Checkpoint())
    written = Checkpoint.decode(first.checkpoint(snapshot(0, 250)))

    queue = resumed(written).queue
    assert queue is not None
    ledger = queue.ledger

    assert all(number.to_bytes(8, "big") in ledger for number in range(150, 250))
    assert (250).to_bytes(8, "big") not in ledger


def test_what_is_counted_and_not_published_counts_when_it_comes_again() -> None:
    """The queue was not another monitor's, but that of our connection before this one."""
    process = resumed(Checkpoint())
    assert process.queue is not None
    ledger = process.queue.ledger
    published, discarded = snapshot(0, 5), snapshot(3, 5)  # two of them came again
    for digest in (*published.ack_tokens[0].digests, *discarded.ack_tokens[0].digests):
        ledger.add(digest)

    process.checkpoint(published)
    process.discard(discarded)

    known = [number.to_bytes(8, "big") in ledger for number in range(8)]
    assert known == [True] * 5 + [False] * 3


def test_half_of_what_may_be_unacknowledged_is_in_a_hurry() -> None:
    """Once for each half."""
    process = resumed(Checkpoint())
    ack_tokens = [snapshot(n * 10, 10).ack_tokens[0] for n in range(10)]
    assert [process.should_hurry(token) for token in ack_tokens] == ([False] * 4 + [True]) * 2


def test_a_task_that_cannot_be_written_costs_no_more_than_itself() -> None:
    """Workers answer in JSON, which can hold a lone surrogate."""
    in_flight = (TaskInFlight("u1", "proj.add"), TaskInFlight("u2", "\ud800"))

    kept = Checkpoint.decode(Checkpoint(b"12345678", in_flight).encode())

    assert kept == Checkpoint(b"12345678", in_flight[:1])
