"""Ask: who reads the queues of a report, as far as one look can tell."""

from __future__ import annotations

import pytest

from event_monitor.status.ask import with_known_consumers
from event_monitor.survey import AbsentWorker, QueueDepth, WorkerAnswer

MAIL = WorkerAnswer("w1@host", queues=("mail",))


@pytest.mark.parametrize(
    ("queue", "unread"),
    [
        (QueueDepth("mail", ready=3), False),
        (QueueDepth("celery", ready=3), True),
        (QueueDepth("celery", ready=3, unacked=0), True),
        (QueueDepth("celery", ready=3, unacked=1), None),
        (QueueDepth("celery", ready=3, unacked=1, consumers=0), True),
        (QueueDepth("celery", missing=True), False),
    ],
    ids=["read", "unread", "nothing taken", "taken by a silent worker", "the broker knows", "gone"],
)
def test_a_queue_is_unread_only_if_no_worker_may_read_it(
    queue: QueueDepth, unread: bool | None
) -> None:
    """A busy solo worker does not answer; what it has taken proves that it is there."""
    assert with_known_consumers(queue, [MAIL], []).is_unread is unread


def test_nothing_is_said_of_readers_while_one_is_silent_or_nobody_was_asked() -> None:
    queue = QueueDepth("celery", ready=3)

    assert with_known_consumers(queue, [MAIL], [AbsentWorker("w2@host")]).is_unread is None
    assert with_known_consumers(queue, None, []).is_unread is None
