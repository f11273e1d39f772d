"""Deaths: of several monitors each judges silence by its own clock, and each death counts once."""

from __future__ import annotations

import pytest

from event_monitor.events import Event, Past
from event_monitor.settings import Settings
from event_monitor.snapshot import WorkerLoss, WorkerState, WorkerStatus
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.making import W1, W2, beat, offline, task
from ...support.waiting import wait_until
from .monitors import SAME, Broker, Monitor, Stream

GRACE = Settings().worker_grace_seconds


class Judge(Monitor):
    """A monitor with a state and a clock of its own; it makes a shot of each window."""

    def __init__(self, stream: Stream, name: str) -> None:
        self.clock = FakeClock()
        self.state = State(clock=self.clock)
        self.losses: dict[str, list[WorkerLoss]] = {}  # of what it keeps, by window
        self.workers: tuple[WorkerStatus, ...] = ()  # at the last shot
        super().__init__(
            stream,
            name,
            find_dead=self.state.find_dead,
            past=self.state.past,
            note_past=self.state.note_past,
        )
        self.connect()

    def end(self, cut: str = "") -> None:
        label = self.windows.turn(cut)
        self.labels.append(label)
        exposure = self.state.freeze_while(
            lambda: self.state.expose(dead=label.dead, puts_off_deaths=label.puts_off_deaths)
        )
        snapshot = exposure.develop()
        found, self.workers = snapshot.losses, snapshot.workers
        if label.is_kept:
            self.losses.setdefault(label.window, []).extend(found)

    def lost(self) -> list[list[str]]:
        """Return who was lost, in each of the windows that it keeps."""
        return [[loss.hostname for loss in losses] for losses in self.losses.values()]


@pytest.fixture
def stream(broker: Broker, clock: FakeClock) -> Stream:
    return Stream(broker, clock)


@pytest.fixture
def leader(stream: Stream) -> Judge:
    return Judge(stream, "a")


@pytest.fixture
def standby(stream: Stream, leader: Judge) -> Judge:
    standby = Judge(stream, "b")
    assert leader.windows.peers()
    return standby


def tell(event: Event, *judges: Judge) -> None:
    for judge in judges:
        judge.state.observe([event])


def wait(seconds: float, *judges: Judge) -> None:
    for judge in judges:
        judge.clock.advance(seconds)


def end_a_window_without(standby: Judge, leader: Judge) -> None:
    """Cut the standby off while the leader ends a window."""
    standby.windows.on_connection(False)
    assert leader.windows.at_boundary() == "marker"
    standby.waiting.clear()
    leader.read()
    standby.connect()


def one_falls_silent(*judges: Judge) -> None:
    """Let both workers beat, and only the second once more, half a grace later."""
    for host in (W1, W2):
        tell(beat(host), *judges)
    wait(GRACE / 2, *judges)
    tell(beat(W2), *judges)


def test_who_takes_longer_to_judge_has_the_death_in_the_same_window(
    leader: Judge, standby: Judge
) -> None:
    """Whichever of them sends the window tells of it, and no other window does."""
    tell(beat(), leader, standby)
    # Given that its silence is a little shorter for the standby
    wait(0.5, standby)
    tell(task("received"), standby)
    wait(0.5, leader)
    wait(GRACE - 0.2, leader, standby)

    # When windows end
    leader.boundary()
    wait(1, leader, standby)
    leader.boundary()
    wait(60, leader, standby)
    leader.boundary()

    # Then
    assert list(leader.losses)[-3:] == list(standby.losses)[-3:]
    assert leader.lost()[-3:] == standby.lost()[-3:] == [[W1], [], []]


def test_who_judges_sooner_waits_for_the_leader(leader: Judge, standby: Judge) -> None:
    """Else its window would have a death, and the leader's the next."""
    tell(beat(), leader, standby)
    wait(GRACE + 0.1, standby)
    wait(GRACE - 0.1, leader)
    leader.boundary()
    wait(1, leader, standby)
    leader.boundary()

    assert leader.lost()[-2:] == standby.lost()[-2:] == [[], [W1]]


def test_a_death_of_which_the_leader_did_not_tell_is_told_by_the_next(
    leader: Judge, standby: Judge
) -> None:
    """And one of which it told is not told again."""
    one_falls_silent(leader, standby)
    wait(GRACE / 2 + 1, leader, standby)
    leader.boundary()
    # When the leader finds the other one dead, and dies itself before it tells
    wait(GRACE / 2, leader, standby)
    assert [dead[:3] for dead in leader.state.find_dead()] == [(W2, 7, GRACE + 1)]
    leader.die()
    standby.leader.look()
    standby.boundary()
    wait(60, standby)
    standby.boundary()

    assert [lost for lost in standby.lost() if lost] == [[W1], [W2]]


def test_who_was_stopped_before_it_told_keeps_to_what_the_next_leader_tells(
    leader: Judge, standby: Judge, broker: Broker
) -> None:
    """It has found the same death, in a window that is not its own any more."""
    tell(beat(), leader, standby)
    wait(GRACE + 1, leader, standby)
    leader.state.find_dead()
    leader.clock.advance(1)
    broker.holder = None
    standby.leader.look()
    leader.leader.look()
    for _ in range(3):
        standby.boundary()
        wait(60, leader, standby)

    told = [lost for lost in standby.lost() if lost]
    assert told == [[W1]]
    assert [lost for lost in leader.lost() if lost] in ([], told)
    assert leader.lost()[-2:] == standby.lost()[-2:]


def test_a_monitor_that_joins_moves_no_death(stream: Stream, leader: Judge) -> None:
    """The window that ends for it has none; the next has."""
    first = Judge(stream, "b")
    tell(beat(), leader, first)
    wait(GRACE + 1, leader, first)
    leader.state.find_dead()
    Judge(stream, "c")
    leader.boundary()

    assert leader.lost()[-2:] == first.lost()[-2:] == [[], [W1]]


def test_a_death_is_told_of_a_worker_that_a_standby_never_saw(
    leader: Judge, standby: Judge
) -> None:
    """Its window has to be the same."""
    tell(beat(), leader)
    wait(GRACE + 1, leader, standby)
    leader.boundary()

    assert leader.lost()[-1] == standby.lost()[-1] == [W1]


def test_the_tasks_of_the_dead_are_orphans_in_the_same_window(
    leader: Judge, standby: Judge
) -> None:
    """Each monitor knows them from the events."""
    for event in (beat(), task("received"), task("started")):
        tell(event, leader, standby)
    wait(GRACE + 1, leader)
    leader.boundary()

    (mine,), (theirs,) = list(leader.losses.values())[-1], list(standby.losses.values())[-1]
    assert mine == theirs
    assert [orphan.uuid for orphan in theirs.orphans] == ["u1"]


def test_a_monitor_without_others_judges_by_itself(leader: Judge) -> None:
    """And tells nobody."""
    tell(beat(), leader)
    wait(GRACE + 1, leader)
    leader.boundary()
    leader.boundary()

    assert [lost for lost in leader.lost() if lost] == [[W1]]


def test_more_deaths_than_an_event_takes_are_judged_by_each(leader: Judge, standby: Judge) -> None:
    """The leader has found them before it knows how many there are."""
    for number in range(1_001):
        tell(beat(f"celery@{number}"), leader, standby)
    wait(GRACE + 1, leader, standby)
    leader.boundary()

    assert len(leader.lost()[-1]) == len(standby.lost()[-1]) == 1_001


def test_a_death_that_no_monitor_tells_ends_no_window_with_more_than_an_event_takes(
    stream: Stream, leader: Judge, standby: Judge
) -> None:
    """Anybody who may send events can send such."""
    leader.boundary()
    opened = leader.labels[-1].window
    dead = tuple(("celery@made-up", None, 1.0, 0.0, str(number), False) for number in range(5_000))
    fields = {"what": "cut", "window": "w", "role": "leader", "opened": opened, "dead": dead}
    stream.send(monitors=SAME, sender="x", **fields)
    stream.deliver()

    assert len(leader.lost()[-1]) == len(standby.lost()[-1]) == 1_000


def test_who_was_away_when_a_death_was_told_learns_of_it_when_it_is_back(
    leader: Judge, standby: Judge
) -> None:
    """Else it would tell of it again, once it leads; not of one that has come back since."""
    for host in (W1, W2):
        tell(beat(host), leader, standby)
    wait(GRACE + 1, leader)
    end_a_window_without(standby, leader)
    tell(beat(W2, at=2_000.0), leader, standby)
    leader.boundary()
    assert [worker.state.value for worker in standby.workers] == ["lost", "online"]

    leader.die()
    standby.leader.look()
    wait(GRACE + 1, standby)
    standby.boundary()
    assert [lost for lost in leader.lost() if lost] == [[W1, W2]]
    assert [lost for lost in standby.lost() if lost] == [[W2]]


def test_who_was_away_and_leads_before_a_window_has_ended_tells_of_no_death_again(
    leader: Judge, standby: Judge
) -> None:
    """Who is there tells it at once who died meanwhile; what was not told, it judges itself."""
    one_falls_silent(leader, standby)
    wait(GRACE / 2 + 1, leader)
    end_a_window_without(standby, leader)
    leader.die()
    standby.leader.look()
    wait(2 * GRACE, standby)
    standby.boundary()

    assert [lost for lost in leader.lost() if lost] == [[W1]]
    assert [lost for lost in standby.lost() if lost] == [[W2]]


def test_a_death_that_both_have_found_before_one_was_away_is_told_once(
    leader: Judge, standby: Judge
) -> None:
    """It waited with us for the leader's word, and that is of the past now."""
    tell(beat(), leader, standby)
    wait(GRACE + 1, leader, standby)
    standby.state.find_dead()
    end_a_window_without(standby, leader)
    leader.die()
    standby.leader.look()
    standby.boundary()

    assert [lost for lost in leader.lost() if lost] == [[W1]]
    assert [lost for lost in standby.lost() if lost] == []


def test_two_markers_that_are_under_way_at_once_tell_of_a_death_once(
    leader: Judge, standby: Judge, stream: Stream
) -> None:
    """As when a monitor leaves just as its window ends."""
    leader.boundary()
    stream.log.clear()
    tell(beat(), leader, standby)
    wait(GRACE + 1, leader, standby)
    assert leader.windows.at_boundary() == "marker"
    assert not leader.windows.may_leave()
    wait_until(lambda: stream.log.count("cut") == 2, 60, "both are sent")
    stream.deliver()

    assert [lost for lost in leader.lost() if lost] == [[W1]]
    assert [lost for lost in standby.lost() if lost] == [[W1]]


def test_a_death_in_a_window_that_the_clock_ended_is_not_told_again_by_the_next_leader(
    leader: Judge, standby: Judge, stream: Stream
) -> None:
    """The next marker says that it was told; the standby could not know."""
    tell(beat(), leader, standby)
    wait(GRACE + 1, leader, standby)
    stream.error = OSError("no")
    assert leader.boundary() == "clock"
    stream.error = None
    leader.boundary()
    leader.die()
    standby.leader.look()
    standby.boundary()

    assert [lost for lost in leader.lost() if lost] == [[W1]]
    assert [lost for lost in standby.lost() if lost] == []


def test_who_was_silent_when_a_newcomer_came_dies_for_it_too(stream: Stream, leader: Judge) -> None:
    """As in a deploy: the next leader has never heard of the worker."""
    tell(beat(), leader)
    wait(GRACE / 2, leader)
    newcomer = Judge(stream, "b")
    tell(beat(W2), leader, newcomer)
    leader.die()
    newcomer.leader.look()
    newcomer.boundary()
    assert [worker.hostname for worker in newcomer.workers] == [W1, W2]
    for _ in range(2):
        wait(GRACE / 2 + 1, newcomer)
        tell(beat(W2), newcomer)
    newcomer.boundary()

    assert newcomer.lost()[-1] == [W1]
    newcomer.boundary()
    assert newcomer.lost()[-1] == []


def test_who_was_told_dead_as_another_was_told_of_it_dies_once(
    leader: Judge, clock: FakeClock
) -> None:
    """A standby had not heard the leader's word yet as it told who is there."""
    state = State(clock=clock)
    tell(beat(), leader)
    past = leader.state.past()
    ((_, pid, _, _, _, newest_at),) = past.alive
    death = (W1, pid, 61.0, newest_at, "a-death", False)
    state.freeze_while(lambda: state.expose(dead=(death,)))
    state.note_past(past)
    clock.advance(3 * GRACE)

    assert state.freeze_while(state.expose).develop().losses == ()


def test_who_left_while_a_newcomer_came_does_not_die_for_it(
    leader: Judge, clock: FakeClock
) -> None:
    """The leader told of it before it had heard the goodbye."""
    state = State(clock=clock)
    tell(beat(), leader)
    state.observe([offline()])
    state.note_past(leader.state.past())
    clock.advance(3 * GRACE)

    assert state.freeze_while(state.expose).develop().losses == ()


def test_an_old_death_is_none_of_a_worker_that_has_not_beaten_yet(clock: FakeClock) -> None:
    """It may be the next process of that name, heard by its tasks so far."""
    state = State(clock=clock)
    state.observe([task("started", at=clock.wall())])

    state.note_past(Past(((W1, None, 200.0, 5.0, "a-death", True),)))

    exposure = state.freeze_while(state.expose)
    snapshot = exposure.develop()
    assert [worker.state for worker in snapshot.workers] == [WorkerState.ONLINE]
