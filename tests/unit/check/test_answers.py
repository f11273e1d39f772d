"""Answers: what is made of the replies of all workers."""

from __future__ import annotations

from event_monitor.check.answers import Answers, of_service
from event_monitor.check.evidence import WorkerEvidence
from event_monitor.check.held import HeldTask
from event_monitor.settings import Only
from event_monitor.survey import WorkerAnswer


def test_workers_under_one_name_are_not_taken_for_one() -> None:
    """What one of them holds says nothing of the other's processes."""
    alone, twice = WorkerAnswer("a@host", queues=("q",)), WorkerAnswer("b@host", reserved=3)
    answers = Answers(
        workers={"a@host": alone, "b@host": twice}, replies={"a@host": 1, "b@host": 2}
    )

    assert answers.of_one_process == {"a@host": alone}
    assert answers.queues == {"q"}


def test_of_one_service_are_the_workers_that_read_its_queues() -> None:
    """Who never said what it reads is left out, as the monitor does."""
    workers = [WorkerEvidence(hostname=name) for name in ("a@host", "b@host", "c@host")]
    shop = WorkerAnswer("a@host", queues=("shop",))
    answers = Answers(
        configurations={"a@host": {}, "b@host": {}},
        workers={"a@host": shop, "b@host": WorkerAnswer("b@host", queues=("mail",))},
        tasks=tuple(
            HeldTask(name=name, worker=worker)
            for name, worker in (("pay", "a@host"), ("celery.ping", "a@host"), ("pay", "b@host"))
        ),
    )

    ours, limited = of_service(workers, answers, Only(tasks=("!celery.*",), queues=("shop*",)))

    assert ours == (workers[0],)
    assert limited == Answers(
        configurations={"a@host": {}},
        workers={"a@host": shop},
        tasks=(HeldTask(name="pay", worker="a@host"),),
    )
