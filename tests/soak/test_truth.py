"""The truth of the soak: verdicts from the process table, listed apart what nobody could know."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .fleet import Life
from .plan import WEIGHTS, make_plan
from .recording import Event
from .truth import NeverSent, Note, Truth, find_truth

NAMES = {"a": "soak.long", "b": "soak.short"}


def life(
    number: int, *, stopped: bool = False, killed: bool = False, exit_code: int | None = None
) -> Life:
    """A process of the worker w@soak, with a pid of its own."""
    at = 5.0
    return Life(
        number=number,
        name="w@soak",
        pid=100 + number,
        started_at=0.0,
        stopped_at=at if stopped else None,
        killed_at=at if killed else None,
        exit_code=-9 if killed else exit_code,
    )


def task(what: str, uuid: str, *, by: int) -> Event:
    """An event of a run in the process of that number."""
    return Event(f"task-{what}", "w@soak", 100 + by, uuid)


def beat(what: str, *, by: int, processed: int) -> Event:
    """An event of the worker in the process of that number."""
    return Event(f"worker-{what}", "w@soak", 100 + by, processed=processed)


def truth(*events: Event, lives: list[Life], ledgers: dict[int, list[Note]]) -> Truth:
    """Find the truth about tasks of known names."""
    return find_truth(events=events, lives=lives, ledgers=ledgers, names=NAMES)


def notes(*written: str) -> list[Note]:
    """A ledger: ``begin a``, ``end a``."""
    return [
        Note("begin" if line.startswith("begin") else "end", line.split()[1]) for line in written
    ]


def test_a_killed_worker_is_lost_with_what_it_ran() -> None:
    """The task that it had ended is none of it."""
    found = truth(
        task("started", "a", by=0),
        task("started", "b", by=0),
        task("succeeded", "b", by=0),
        lives=[life(0, killed=True), life(1)],
        ledgers={0: notes("begin a", "begin b", "end b")},
    )

    assert found.lost == Counter({"w@soak": 1})
    assert found.orphaned == Counter({"w@soak": 1})
    assert found.online == 1
    assert found.counts["TasksStarted"] == Counter({"soak.long": 1, "soak.short": 1})
    assert (found.never_sent, found.contradictions) == ((), ())


def test_one_that_was_killed_after_its_goodbye_is_not_lost() -> None:
    """Its task is an orphan all the same."""
    found = truth(
        task("started", "a", by=0),
        beat("offline", by=0, processed=1),
        lives=[life(0, stopped=True, killed=True)],
        ledgers={0: notes("begin a")},
    )

    assert found.lost == Counter()
    assert found.orphaned == Counter({"w@soak": 1})


def test_an_end_that_never_reached_the_broker_is_listed_apart() -> None:
    """For who has only the events, the task is an orphan."""
    found = truth(
        task("started", "a", by=0),
        lives=[life(0, killed=True)],
        ledgers={0: notes("begin a", "end a", "begin b")},
    )

    assert found.orphaned == Counter({"w@soak": 1})
    assert found.never_sent == (
        NeverSent("w@soak", 0, "a", "soak.long", "end", True),
        NeverSent("w@soak", 0, "b", "soak.short", "begin", True),
    )
    assert found.contradictions == ()


def test_a_run_whose_next_try_is_known_may_be_an_orphan_or_not() -> None:
    """Its task-retried died with the worker; the new message had gone out before."""

    def received(by: int, *, retries: int) -> Event:
        return replace(task("received", "a", by=by), retries=retries)

    lives = [life(0, killed=True), life(1, killed=True)]
    events = [received(0, retries=0), task("started", "a", by=0)]
    next_try = [received(1, retries=1), task("started", "a", by=1)]

    alone = truth(*events, lives=lives, ledgers={0: notes("begin a")})
    both = truth(*events, *next_try, lives=lives, ledgers={0: notes("begin a")})

    one = Counter({"w@soak": 1})
    assert (alone.orphaned, alone.over) == (one, Counter())
    assert (both.orphaned, both.over) == (one, one), "the next try is an orphan"


def test_a_run_of_a_worker_that_said_it_runs_nothing_may_be_an_orphan_or_not() -> None:
    """Its end died with the worker; another run, begun after that, is one."""
    events = [
        task("started", "a", by=0),
        replace(beat("heartbeat", by=0, processed=1), active=0),
        task("started", "b", by=0),
    ]

    found = truth(*events, lives=[life(0, killed=True)], ledgers={0: notes("begin a", "begin b")})

    assert found.orphaned == found.over == Counter({"w@soak": 1})


def test_a_start_that_never_came_is_lost_once_a_heartbeat_counts_it() -> None:
    """Nobody can know it before."""
    lives, ledgers = [life(0)], {0: notes("begin a", "end a")}
    before = truth(beat("heartbeat", by=0, processed=0), lives=lives, ledgers=ledgers)
    after = truth(beat("heartbeat", by=0, processed=1), lives=lives, ledgers=ledgers)

    assert before.events_lost == Counter()
    assert after.events_lost == Counter({"w@soak": 1})


def test_a_start_that_died_in_the_buffer_may_be_lost_or_not() -> None:
    """The goodbye of the killed counts it; whether anybody makes use of that is open."""
    found = truth(
        beat("offline", by=0, processed=1),
        lives=[life(0, stopped=True, killed=True)],
        ledgers={0: notes("begin a")},
    )

    assert (found.events_lost, found.buffered) == (Counter(), Counter({"w@soak": 1}))


def test_two_runs_of_one_task_are_two() -> None:
    """A retry begins on another process while the first has not said that it is over."""
    found = truth(
        task("started", "a", by=0),
        task("started", "a", by=1),
        task("retried", "a", by=0),
        lives=[life(0), life(1, killed=True)],
        ledgers={0: notes("begin a", "end a"), 1: notes("begin a")},
    )

    assert found.orphaned == Counter({"w@soak": 1})
    assert found.counts["TasksStarted"] == Counter({"soak.long": 2})


def test_a_failure_that_is_sent_twice_counts_once() -> None:
    """As by a hard time limit."""
    found = truth(
        task("started", "a", by=0),
        task("failed", "a", by=0),
        task("failed", "a", by=0),
        lives=[life(0)],
        ledgers={0: notes("begin a", "end a")},
    )

    assert found.counts["TasksFailed"] == Counter({"soak.long": 1})


def test_what_cannot_be_is_said() -> None:
    """Then the harness is wrong, or Celery."""
    found = truth(
        task("started", "a", by=2),
        Event("monitor-listening", "gen200@soak", 200),
        lives=[life(0, exit_code=1), life(1)],
        ledgers={1: notes("begin b")},
    )

    assert found.contradictions == (
        "w@soak, process 0 (pid 100) ended by itself with 1",
        "w@soak, process 1 (pid 101) was not killed and never ended ['b']",
        "events of w@soak, pid 102: not ours",
    )


def test_a_plan_follows_its_seed() -> None:
    """And even a minute has each kind of action in it."""
    plan = make_plan(7, seconds=42, first_at=12, longest_pause=20)

    assert plan == make_plan(7, seconds=42, first_at=12, longest_pause=20)
    assert plan != make_plan(8, seconds=42, first_at=12, longest_pause=20)
    assert {action.kind for action in plan} == {*WEIGHTS, "pause"}
    assert all(12 <= action.at < 42 for action in plan)
