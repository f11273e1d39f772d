"""Facts: what a worker says unasked in its heartbeats counts as an answer, while it is fresh."""

from __future__ import annotations

from event_monitor import events as ev
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot, WorkerState, WorkerStatus
from event_monitor.state import State
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import FakeClock

from ...support.making import W1, W2, beat, task

FACTS = ev.WorkerFacts(
    active=1,
    reserved=2,
    scheduled=3,
    revoked=4,
    pool_processes=5,
    memory_bytes=6_000_000,
    prefetch_count=8,
    queues=("celery", "mail"),
    is_solo=False,
    start_interval_seconds=0.5,
)
ANSWER = WorkerAnswer(
    W1,
    active=1,
    reserved=2,
    scheduled=3,
    revoked=4,
    pool_processes=5,
    memory_bytes=6_000_000,
    prefetch_count=8,
    queues=("celery", "mail"),
    is_solo=False,
    start_interval_seconds=0.5,
)


def make(**settings: object) -> tuple[State, FakeClock]:
    clock = FakeClock()
    return State(Settings(**settings), clock=clock), clock  # type: ignore[arg-type]


def shoot(state: State) -> Snapshot:
    return state.freeze_while(state.expose).develop()  # type: ignore[no-any-return]


def status_of(state: State, hostname: str = W1) -> WorkerStatus:
    found = {worker.hostname: worker for worker in shoot(state).workers}
    return found[hostname]


def test_the_facts_of_the_last_heartbeat_are_an_answer_as_old_as_it() -> None:
    """The newest count; a worker that says nothing of the kind has no answer."""
    state, clock = make()
    state.observe([beat(W1, facts=ev.WorkerFacts(reserved=9)), beat(W2)])
    clock.advance(20.0)
    state.observe([beat(W1, facts=FACTS), beat(W2)])
    clock.advance(7.0)

    status = status_of(state)
    assert (status.answer, status.answer_age_seconds) == (ANSWER, 7.0)
    assert status_of(state, W2).answer is None

    state.observe([beat(W1)])
    assert status_of(state).answer is None


def test_facts_without_a_count_of_active_tasks_take_that_of_the_heartbeat() -> None:
    """It is the same count."""
    state, _ = make()
    state.observe([beat(W1, active=3, facts=ev.WorkerFacts(reserved=0))])

    assert status_of(state).answer == WorkerAnswer(W1, active=3, reserved=0)


def test_facts_that_are_too_old_are_no_answer_though_the_worker_lives() -> None:
    """A solo pool sends no heartbeat while a task runs, and its events come all the same."""
    state, clock = make(worker_grace_seconds=60.0)
    state.observe([beat(W1, freq=2.0, facts=FACTS)])
    clock.advance(59.0)
    assert status_of(state).answer == ANSWER

    state.observe([task("started", "u1", on=W1)])
    clock.advance(2.0)

    status = status_of(state)
    assert (status.state, status.answer) == (WorkerState.ONLINE, None)


def test_of_several_processes_under_one_name_none_answers_for_all() -> None:
    """Partly known is unknown."""
    state, clock = make()
    for _ in range(4):
        for pid in (1, 2):
            state.observe([beat(W1, pid=pid, freq=2.0, processed=pid, facts=FACTS)])
            clock.advance(1.0)

    status = status_of(state)
    assert (status.is_shared, status.answer) == (True, None)


def test_tasks_are_counted_under_the_only_queue_that_a_worker_says_it_reads() -> None:
    """From its first heartbeat on, and anew when it reads others."""
    state, _ = make()

    def run(uuid: str) -> dict[str, int]:
        state.observe([task("received", uuid, name="add"), task("started", uuid)])
        state.observe([task("succeeded", uuid, runtime=1.0)])
        window = shoot(state).window
        return {queue: counts.succeeded for queue, counts in window.by_queue if counts.succeeded}

    state.observe([beat(W1, facts=ev.WorkerFacts(queues=("mail",)))])
    assert run("u1") == {"mail": 1}

    state.observe([beat(W1, facts=ev.WorkerFacts(queues=("reports",)))])
    assert run("u2") == {"reports": 1}


def test_tasks_that_are_silent_on_purpose_are_no_lost_events() -> None:
    """The worker itself tells how many of those it has begun sent none; the rest are missed."""

    def lost(silent: int) -> int:
        state, clock = make()
        state.observe([beat(W1, processed=0, at=100.0), task("started", "u1", at=101.0)])
        for number in range(1, 7):
            clock.advance(2.0)
            facts = ev.WorkerFacts(silent=silent)
            state.observe([beat(W1, processed=10, at=100.0 + 2 * number, facts=facts)])
        return sum(count for _, count in shoot(state).window.events_lost)

    assert lost(silent=9) == 0
    assert lost(silent=4) == 5
