"""Join: answers are read in the light of the events, and are never more than they are."""

from __future__ import annotations

import pytest

from event_monitor.metrics.gauges import worker_totals
from event_monitor.probes.join import join_survey
from event_monitor.snapshot import BrokerLink, Snapshot, Window, WorkerState, WorkerStatus
from event_monitor.survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer

ONLINE, OFFLINE, LOST = WorkerState.ONLINE, WorkerState.OFFLINE, WorkerState.LOST
W1 = WorkerAnswer("w1@h", pool_processes=4, queues=("q", "p"))
W2 = WorkerAnswer("w2@h", pool_processes=2, queues=("q",))


def seen(link: BrokerLink = BrokerLink.LISTENING, **states: WorkerState) -> Snapshot:
    """A snapshot of what events say of workers; ``w1=ONLINE`` is w1@h."""
    workers = tuple(WorkerStatus(f"{name}@h", state, 0.0) for name, state in states.items())
    return Snapshot(Window(0.0, 60.0), workers=workers, link=link)


def joined(snapshot: Snapshot, survey: Survey) -> Survey:
    """The survey as it stands in the snapshot."""
    return join_survey(snapshot, survey).survey


@pytest.mark.parametrize(
    "snapshot",
    [seen(w1=ONLINE), seen(BrokerLink.CONNECTING)],
    ids=["online", "connecting"],
)
def test_silence_of_all_is_not_taken_for_no_workers(snapshot: Snapshot) -> None:
    assert joined(snapshot, Survey(workers=())).workers is None


@pytest.mark.parametrize(
    ("survey", "snapshot"),
    [
        (Survey(workers=(W1,)), seen()),
        (Survey(workers=(W1,)), seen(w1=ONLINE)),
        (Survey(workers=()), seen(w1=LOST)),
        (Survey(), seen(w1=ONLINE)),
    ],
)
def test_complete_answers_are_believed(survey: Survey, snapshot: Snapshot) -> None:
    assert joined(snapshot, survey) == survey


@pytest.mark.parametrize("state", [LOST, OFFLINE])
def test_the_answer_of_a_worker_ends_with_its_death(state: WorkerState) -> None:
    """In the same window; the last one leaves nobody, and that is known."""
    assert joined(seen(w1=state, w2=ONLINE), Survey(workers=(W1, W2))).workers == (W2,)
    assert joined(seen(w1=state), Survey(workers=(W1,))).workers == ()


def test_a_worker_that_is_online_and_did_not_answer_is_absent() -> None:
    """With the queues it named before, if the prober knew it; the dead are not missed."""
    survey = Survey(
        workers=(W2,),
        absent=(AbsentWorker("w1@h", ("q",)), AbsentWorker("dead@h"), AbsentWorker("unknown@h")),
    )

    found = joined(seen(w1=ONLINE, w2=ONLINE, new=ONLINE, dead=LOST), survey)

    assert found.workers == (W2,)
    assert found.absent == (AbsentWorker("w1@h", ("q",)), AbsentWorker("new@h"))


def test_workers_that_were_not_asked_are_not_absent() -> None:
    assert joined(seen(w1=ONLINE), Survey()).absent == ()


@pytest.mark.parametrize(
    ("answers", "absent", "consumers"),
    [
        (None, (), None),
        ((), (), 0),
        ((W1, W2, WorkerAnswer("w3@h", queues=("p",))), (), 2),
        ((WorkerAnswer("w3@h", queues=("p",)),), (), 0),
        ((W1, WorkerAnswer("w3@h")), (), None),
        ((W1,), (AbsentWorker("solo@h", ("p",)),), 1),
        ((W1,), (AbsentWorker("solo@h", ("q",)),), None),
        ((W1,), (AbsentWorker("solo@h"),), None),
    ],
)
def test_consumers_the_broker_does_not_know_are_counted_by_what_workers_read(
    answers: tuple[WorkerAnswer, ...] | None,
    absent: tuple[AbsentWorker, ...],
    consumers: int | None,
) -> None:
    """Unknown if one more may read the queue."""
    online = tuple(WorkerStatus(worker.hostname, ONLINE, 0.0) for worker in absent)
    snapshot = Snapshot(Window(0.0, 60.0), workers=online)
    survey = Survey(queues=(QueueDepth("q", ready=1),), workers=answers, absent=absent)

    assert joined(snapshot, survey).queues == (QueueDepth("q", ready=1, consumers=consumers),)


def test_the_brokers_number_of_consumers_wins_and_a_missing_queue_has_none() -> None:
    queues = (QueueDepth("q", ready=1, consumers=0), QueueDepth("p", missing=True))

    assert joined(seen(), Survey(queues=queues, workers=(W1,))).queues == queues


@pytest.mark.parametrize(
    ("queue", "is_unread"),
    [
        (QueueDepth("q", consumers=0), True),
        (QueueDepth("q", consumers=1), False),
        (QueueDepth("q"), None),
        (QueueDepth("q", missing=True), False),
    ],
)
def test_a_queue_is_unread_if_it_is_there_and_nobody_reads_it(
    queue: QueueDepth, is_unread: bool | None
) -> None:
    assert queue.is_unread is is_unread


def test_the_ages_that_are_known_are_in_the_snapshot() -> None:
    queues = (
        QueueDepth("old", ready=3, oldest_seconds=61.0),
        QueueDepth("of unknown age", ready=3),
        QueueDepth("empty", ready=0),
    )
    assert join_survey(seen(), Survey(queues=queues)).waiting == (("old", 61.0),)
    assert join_survey(seen(), Survey()).waiting == ()


# -- what workers say unasked ----------------------------------------------------------------------


def told(hostname: str, answer: WorkerAnswer | None, **fields: float) -> WorkerStatus:
    """A worker that is online, and what it said in its last heartbeat."""
    return WorkerStatus(hostname, ONLINE, 0.0, answer=answer, answer_age_seconds=fields["age"])


def test_what_workers_say_unasked_are_their_answers() -> None:
    """As old as the oldest heartbeat, though nobody was asked."""
    snapshot = Snapshot(
        Window(0.0, 60.0), workers=(told("w2@h", W2, age=19.0), told("w1@h", W1, age=3.0))
    )

    found = joined(snapshot, Survey(queues=(QueueDepth("q", ready=1),)))

    assert (found.workers, found.workers_age_seconds, found.absent) == ((W1, W2), 19.0, ())
    assert found.queues == (QueueDepth("q", ready=1, consumers=2),)


def test_one_that_says_nothing_and_was_not_asked_is_absent() -> None:
    """What only it could tell is unknown: partly known is unknown."""
    snapshot = Snapshot(
        Window(0.0, 60.0), workers=(told("w1@h", W1, age=3.0), told("w2@h", None, age=0.0))
    )

    found = joined(snapshot, Survey(queues=(QueueDepth("q", ready=1),)))

    assert (found.workers, found.absent) == ((W1,), (AbsentWorker("w2@h"),))
    assert found.queues == (QueueDepth("q", ready=1),)


def test_while_others_may_be_heard_yet_those_who_were_are_not_all() -> None:
    """What they say is known; that nobody said anything is not taken for "no workers"."""
    snapshot = Snapshot(
        Window(0.0, 60.0), workers=(told("w1@h", W1, age=3.0),), has_heard_all=False
    )

    found = joined(snapshot, Survey(queues=(QueueDepth("p", ready=1),)))

    assert found.workers == (W1,)
    assert worker_totals(found) == {}
    assert found.queues == (QueueDepth("p", ready=1),)
    assert joined(Snapshot(Window(0.0, 60.0), has_heard_all=False), Survey()).workers is None


def test_what_a_worker_says_unasked_counts_instead_of_what_it_answered() -> None:
    """Of the others their answers count; the age is that of the oldest."""
    said = WorkerAnswer("w1@h", pool_processes=9, queues=("q",))
    snapshot = Snapshot(
        Window(0.0, 60.0), workers=(told("w1@h", said, age=3.0), told("w2@h", None, age=0.0))
    )

    found = joined(snapshot, Survey(workers=(W1, W2), workers_age_seconds=11.0))

    assert (found.workers, found.workers_age_seconds) == ((said, W2), 11.0)


def test_when_the_last_of_them_is_gone_nobody_reads_the_queue() -> None:
    """That is known, as where they are asked and none is left."""
    gone = WorkerStatus("w1@h", LOST, 90.0, answer=W1, answer_age_seconds=90.0)
    snapshot = Snapshot(Window(0.0, 60.0), workers=(gone,))

    found = joined(snapshot, Survey(queues=(QueueDepth("q", ready=1),)))

    assert found.workers == ()
    assert found.queues == (QueueDepth("q", ready=1, consumers=0),)
