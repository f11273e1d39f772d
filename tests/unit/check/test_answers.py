"""Answers: what is made of the replies of all workers."""

from __future__ import annotations

from event_monitor.check.answers import Answers
from event_monitor.survey import WorkerAnswer


def test_workers_under_one_name_are_not_taken_for_one() -> None:
    """What one of them holds says nothing of the other's processes."""
    alone, twice = WorkerAnswer("a@host", queues=("q",)), WorkerAnswer("b@host", reserved=3)
    answers = Answers(
        workers={"a@host": alone, "b@host": twice}, replies={"a@host": 1, "b@host": 2}
    )

    assert answers.of_one_process == {"a@host": alone}
    assert answers.queues == {"q"}
