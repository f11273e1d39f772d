"""State: what the events so far add up to, behind one lock. Swaps, never resets.

``State`` takes the place of Celery's own: it has the same ``event`` and ``freeze_while``, but keeps
only the tasks in flight, and counts every event into the open window the moment it arrives.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from celery.events.state import State as CeleryState
from celery.utils.time import utcoffset

from .. import events as ev
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent
from ..settings import Settings
from ..snapshot import (
    UNKNOWN,
    AckToken,
    BrokerLink,
    EndedTask,
    ExpectedTasks,
    Live,
    MissingTask,
    RunningTask,
    TaskInFlight,
    UnreceivedTasks,
)
from ..survey import WorkerAnswer
from ..text import printable
from .aggregator import Aggregator, Loss
from .celerys import CountingState, keeper_of
from .cells import Route
from .ended import Ending, WeighSuccess, ended_task
from .exposure import Exposure
from .listening import Listening
from .looks import Looks
from .process import Process

__all__ = ["State", "TaskConsumer"]

log = logging.getLogger(__name__)

_MAX_LOGGED = 200  # characters of an invalid event in the log
_MAX_GIVEN_UP = 500  # orphans taken out of flight while the lock is held: under a millisecond
#: Gets tasks that ended, and runs that are retried, in the receiving thread: it must neither wait
#: nor raise.
TaskConsumer = Callable[[Sequence[EndedTask]], None]


class State(CountingState):
    """Counters, tasks in flight and roster: an ``Aggregator`` with a lock and a clock.

    Any thread may call any method: each takes the lock, but for ``expose``, which must be called
    within ``freeze_while``, and ``link``, which reads one attribute.

    ``task_consumers`` get the tasks that ended, and the runs that are retried, after the lock is
    released, in the thread that called ``observe``; of those that succeed all, or those that
    ``weigh`` chooses. With ``failures_per_second`` they get tasks that failed only, and so many at
    most: to make a value of each costs more than to count it.

    ``route`` tells to which queue the app sends tasks of a name: it is asked once for each that
    comes from a worker of which it is not known that it reads one queue only.
    """

    feeds_celerys = False  # whether a state that Celery made keeps its tasks beside this one

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        task_consumers: Sequence[TaskConsumer] = (),
        route: Route | None = None,
        weigh: WeighSuccess | None = None,
        failures_per_second: int | None = None,
    ) -> None:
        super().__init__()
        settings = settings or Settings()
        self._clock = clock
        self._task_consumers = tuple(task_consumers)
        self._aggregator = Aggregator(
            settings,
            wall=clock.wall(),
            keep_ended=bool(self._task_consumers),
            route=route,
            weigh=weigh,
            failures_only=failures_per_second is not None,
        )
        self._failures_per_second = failures_per_second
        self._failures_left = (0, 0)  # in which second, and of how many a value may be made
        self._wanted_details = frozenset(settings.history_details)
        self._listening = Listening(
            grace_seconds=settings.worker_grace_seconds, now=clock.monotonic()
        )
        self._times_by_pair = bool(settings.http)
        self._by_pair = bool(settings.http or settings.objectives)  # nobody else asks for them
        self._by_host = settings.counts_by_host
        self._looks = Looks(self._aggregator, self._mutex, by_host=self._by_host)
        self.has_checkpoints = bool(settings.durable_queue)  # they need the tasks in flight

    # -- the way in ----------------------------------------------------------------------------

    def observe(self, events: Sequence[ev.Event], token: AckToken | None = None) -> None:
        """Count these events, which have just arrived, in this order.

        ``token`` acknowledges the messages they came in; their snapshot will carry it.
        """
        now = self._clock.monotonic()
        self._listening.note_events(now)
        with self._mutex:
            aggregator = self._aggregator
            aggregator.roster.verdicts.listening_since = self._listening.since(now)
            if token is not None:
                aggregator.window.ack_tokens.append(token)
            if not events:
                return
            self.event_count += len(events)
            aggregator.observe(events, now=now)
            last = events[-1]
            if not isinstance(last, ev.CustomEvent):
                delay = self._clock.wall() - last.timestamp
                aggregator.window.event_delay.record(max(0.0, delay))
            ended = aggregator.tasks.take_ended()
        if ended and self._failures_per_second is not None:
            ended = self._some_failures(ended)
        if ended:
            wanted = self._wanted_details
            tasks = tuple(ended_task(ending, wanted=wanted) for ending in ended)
            for consume in self._task_consumers:
                consume(tasks)

    def _some_failures(self, ended: Sequence[Ending]) -> list[Ending]:
        """Return as many of those that failed as this second has left."""
        second, left = self._failures_left
        now = int(self._clock.monotonic())
        if now != second:
            left = self._failures_per_second or 0
        failed = list(ended[:left])
        self._failures_left = now, left - len(failed)
        return failed

    def refuse(self, error: InvalidEvent) -> None:
        """Count something that arrived and was no event; log the first of its kind in a window."""
        with self._mutex:
            window = self._aggregator.window
            window.events_invalid += 1
            is_known = error.kind in window.invalid_kinds
            window.invalid_kinds.add(error.kind)
        if not is_known:
            log.warning("dropped what is no event: %s", printable(str(error)[:_MAX_LOGGED]))

    def adopt(self, other: CeleryState, *, is_read: bool = True) -> None:
        """Take over from a state Celery made: what it is handed is counted here from now on.

        If it ``is_read``, it goes on keeping tasks and workers, which takes several times as long
        as to count; else it stays empty.
        """
        self.feeds_celerys = is_read
        keep = keeper_of(other) if is_read else None

        def take_over(fields: Mapping[str, Any]) -> Any:
            event = self._take(fields)
            if event is None or keep is None:
                return None
            return keep(event, fields, self._clock.wall())

        other._event = take_over  # noqa: SLF001  its dispatcher, otherwise made on first use

    def event(self, event: Mapping[str, Any]) -> None:
        """Count one event as Celery's own receiver hands it over: a mapping.

        What our own receiver hands to handlers is counted already.
        """
        self._take(event)

    def _take(self, fields: Mapping[str, Any]) -> ev.Event | None:
        """Count it unless it is counted; return None if it is no event."""
        is_counted = isinstance(fields, ev.EventFields)
        try:
            event = ev.event_from_mapping(fields if is_counted else _with_wire_timestamp(fields))
        except InvalidEvent as error:
            if not is_counted:
                self.refuse(error)
            return None
        if not is_counted:
            self.observe([event])
        return event

    def __repr__(self) -> str:
        return f"<State: {self.event_count} events>"

    def learn(self, tasks: Iterable[TaskInFlight]) -> None:
        """Put tasks in flight that workers hold, or a checkpoint kept.

        Tasks that ended since are left out, and of those in flight only the name is learnt.
        """
        now, wall = self._clock.monotonic(), self._clock.wall()
        with self._mutex:
            self._aggregator.learn(tasks, now=now, wall=wall)

    # -- the link to the broker ----------------------------------------------------------------

    @property
    def link(self) -> BrokerLink:
        """Return whether the events of the workers reach us."""
        return self._listening.link

    def change_link(self, link: BrokerLink) -> None:
        """Note that the link to the broker has changed; workers are judged only while LISTENING.

        LISTENING again judges them by the silence from now on. A connection that is lost counts
        in BrokerDisconnections.
        """
        with self._mutex:
            if self.link.is_connected and not link.is_connected:
                self._aggregator.window.disconnections += 1
            if link is BrokerLink.LISTENING:
                self._aggregator.in_flight.waiting.clear()
            self._listening.change_link(link, self._clock.monotonic())

    def await_broker(self) -> None:
        """Begin as CONNECTING: judge no worker until we have listened for the first time."""
        with self._mutex:
            self._listening.change_link(BrokerLink.CONNECTING, self._clock.monotonic())

    def note_reading(self) -> None:
        """Note that the receiver runs. If it did not for a while, silence counts anew from now."""
        self._listening.note_read(self._clock.monotonic())

    def note_blocked(self, is_blocked: bool) -> None:
        """Note that the broker takes messages from nobody, or does again."""
        with self._mutex:
            self._listening.note_blocked(is_blocked, self._clock.monotonic())

    def note_answers(self, answers: Iterable[WorkerAnswer], *, age_seconds: float) -> None:
        """Note that these workers, and no others, answered when all were asked so long ago.

        The same answers may be given again.
        """
        with self._mutex:
            at = self._clock.monotonic() - age_seconds
            self._aggregator.note_answers(answers, at=at)

    def learn_names(self, tasks: Iterable[TaskInFlight]) -> None:
        """Remember the names of tasks that workers held before we listened; they may have ended."""
        with self._mutex:
            self._aggregator.learn_names(tasks)

    def await_names(self, seconds: float) -> None:
        """Let events of tasks never seen wait that long for ``learn``, which knows their names."""
        with self._mutex:
            self._aggregator.await_names(self._clock.monotonic() + seconds)

    def stop_awaiting_names(self) -> None:
        """Count what waits for a name, before the last shot."""
        with self._mutex:
            self._aggregator.stop_awaiting_names()

    # -- the way out ---------------------------------------------------------------------------

    def find_dead(self, *, with_past: bool = False) -> tuple[ev.Dead, ...]:
        """Return who died since the last window, for others to be told.

        ``with_past``: and who did before, for others that may not have been told.
        From now on ``expose`` is told who did.
        """
        now = self._clock.monotonic()
        with self._mutex:
            self._judge(now, is_told=False)
            self._aggregator.roster.verdicts.is_told = True
            return self._aggregator.dead(with_past=with_past)

    def past(self) -> ev.Past:
        """Return who died in earlier windows, the last of them, and who may die, for newcomers."""
        now = self._clock.monotonic()
        with self._mutex:
            return ev.Past(self._aggregator.past_deaths, self._aggregator.roster.alive(now=now))

    def note_past(self, past: ev.Past) -> None:
        """Note who died in windows that others have, so that we do not count them again.

        And who may have died before we came.
        """
        now = self._clock.monotonic()
        with self._mutex:
            self._aggregator.note_past(past.dead, now=now)
            self._aggregator.introduce(past.alive, now=now)

    def _judge(self, now: float, *, is_told: bool) -> float | None:
        """Find out who died; return since when silence is evidence. The caller holds the lock."""
        verdicts = self._aggregator.roster.verdicts
        verdicts.is_told = is_told
        listening_since = verdicts.listening_since = self._listening.since(now)
        self._aggregator.judge(now=now)
        return listening_since

    def expose(
        self, *, dead: Sequence[ev.Dead] | None = None, puts_off_deaths: bool = False
    ) -> Exposure:
        """Close the window and copy what the snapshot needs. The caller holds the lock.

        ``dead`` are those that died in this window where several monitors count the same: the
        leader's ``find_dead``. ``puts_off_deaths``: none did, so far; a later window will tell.

        Takes time that grows with the number of names, queues and workers, not of tasks; unless a
        durable queue's checkpoint needs all tasks in flight.
        """
        now, wall = self._clock.monotonic(), self._clock.wall()
        aggregator = self._aggregator
        in_flight, roster = aggregator.in_flight, aggregator.roster
        listening_since = self._judge(now, is_told=puts_off_deaths or dead is not None)
        if dead is not None:
            aggregator.note_dead(dead, now=now)
        elif not puts_off_deaths:
            aggregator.note_judged()
        window = aggregator.swap(now=now, wall=wall)
        return Exposure(
            window=window,
            closed_at=wall,
            known_names=tuple(aggregator.cells.names),
            by_pair=self._by_pair,
            times_by_pair=self._times_by_pair,
            by_host=self._by_host,
            workers=roster.collect(now=now),
            losses=aggregator.take_losses(with_dead=not puts_off_deaths),
            now=now,
            link=self.link,
            listening_since=listening_since,
            tasks_in_flight=len(in_flight),
            leaving=aggregator.take_leaving(),
            draining=partial(self._count_draining, tuple(roster.draining())),
            running=self._running_by_name,
            give_up=self._give_up,
            note_names=self._note_names,
            in_flight=aggregator.export(lambda at: wall - (now - at))
            if self.has_checkpoints
            else (),
        )

    def unreceived(self) -> Mapping[str, UnreceivedTasks]:
        """Return the tasks sent and not received since we began to listen, by queue.

        Empty while we do not listen. A task whose receipt was lost is still among them, and one
        whose task-sent was lost is not: compare the number with what the broker holds.
        """
        with self._mutex:
            if self.link is not BrokerLink.LISTENING:
                return {}
            return self._aggregator.in_flight.waiting.summary()

    def forget_unreceived(self, queue: str, *, before: float) -> None:
        """Take the tasks sent to this queue before that wall-clock time for received."""
        with self._mutex:
            self._aggregator.in_flight.waiting.forget(queue, before=before)

    # -- what should be in the queues, for who knows whether it is ------------------------------

    def expected(self, *, without: Container[str]) -> dict[str, ExpectedTasks]:
        """Return the tasks that have to come out of each queue yet, but for those ``without``.

        They were sent, or handed back by a worker that is gone, since we began to listen.
        """
        with self._mutex:
            copies = self._aggregator.in_flight.waiting.copy_expected(without=without)
        return {queue: copy.freeze() for queue, copy in copies.items()}

    def lose(self, queue: str, uuids: Sequence[str]) -> list[MissingTask]:
        """Give up these tasks, which are in this queue no more, nor anywhere else; return them.

        Without those that came meanwhile, and those of a name of which no worker ever sent an
        event: they may be silent on purpose.
        """
        aggregator, lost = self._aggregator, []
        for start in range(0, len(uuids), _MAX_GIVEN_UP):
            with self._mutex:
                for uuid in uuids[start : start + _MAX_GIVEN_UP]:
                    task = aggregator.lose(queue, uuid)
                    if task is not None:
                        lost.append(task)
        return lost

    def forget_expected(self, queue: str, uuids: Sequence[str]) -> None:
        """Expect these tasks in this queue no more: what became of them is unknown."""
        for start in range(0, len(uuids), _MAX_GIVEN_UP):
            with self._mutex:
                for uuid in uuids[start : start + _MAX_GIVEN_UP]:
                    self._aggregator.in_flight.waiting.drop(queue, uuid)

    def have_come(self, uuids: Iterable[str]) -> set[str]:
        """Return which of these tasks, that were lost, a worker told of since."""
        with self._mutex:
            return set(filter(self._aggregator.in_flight.has_come, uuids))

    def peek(self, *, with_times: bool = True) -> Live:
        """Return what is counted so far, and what is running, without closing the window.

        Without times only what is counted of each name: to put times in order takes ten times as
        long as all the rest.
        """
        now, wall = self._clock.monotonic(), self._clock.wall()
        with self._mutex:
            aggregator = self._aggregator
            link = self.link
            tasks_in_flight = len(aggregator.in_flight)
            silent: tuple[tuple[str, float], ...] = ()
            listening_since = self._listening.since(now)
            if listening_since is not None:
                silent = aggregator.roster.silent(now=now, listening_since=listening_since)
            groups = tuple(aggregator.in_flight.running_on.values())
        running = self._looks.oldest_running(groups, now)
        return replace(
            self._looks.counted(with_times=with_times),
            taken_at=wall,
            running=tuple(
                RunningTask(task.uuid, task.name, task.worker, wall - (now - since))
                for task, since in running
            ),
            running_count=sum(map(len, groups)),
            tasks_in_flight=tasks_in_flight,
            link=link,
            silent=silent,
        )

    # -- after a shot, a little at a time so that no event has to wait --------------------------

    def _running_by_name(self, now: float) -> dict[str, list[float]]:
        """Return for each name since when its tasks are running; those that were at ``now``."""
        since_by_name: dict[str, list[float]] = {}
        in_flight = self._aggregator.in_flight
        with self._mutex:
            groups = tuple(in_flight.running_on.values())
        for group in groups:
            with self._mutex:
                tasks = tuple(group.values())
            for task in tasks:
                since = task.running_since
                if since is not None and since <= now:
                    since_by_name.setdefault(task.name or UNKNOWN, []).append(since)
        return since_by_name

    def _count_draining(self, processes: Sequence[tuple[str, Process]]) -> dict[str, int]:
        """Return how many tasks run on each worker that said goodbye, if any do."""
        in_flight = self._aggregator.in_flight
        counts: Counter[str] = Counter()
        for hostname, process in processes:
            with self._mutex:
                if process.runs is not None:  # another process has the name now
                    count = sum(map(in_flight.is_running, process.runs))
                else:
                    owner = self._aggregator.roster.owner_of(hostname, process)
                    count = len(in_flight.runs_of(hostname, owner))
            if count:
                counts[hostname] += count
        return counts

    def _note_names(self, names: Collection[str]) -> None:
        """Note that a worker has sent events of tasks of these names."""
        with self._mutex:
            self._aggregator.note_names(names)

    def _give_up(self, losses: Sequence[Loss]) -> int:
        """Take tasks out of flight that their worker will not end any more; return how many.

        Those that it had not started will be delivered again, under the name they have, and stay
        in flight if it is known to which queue.
        """
        in_flight = self._aggregator.in_flight
        given_up = 0
        for loss in losses:
            orphans = tuple(loss.orphans)
            for start in range(0, len(orphans), _MAX_GIVEN_UP):
                with self._mutex:
                    for task in orphans[start : start + _MAX_GIVEN_UP]:
                        given_up += in_flight.give_up_orphan(
                            task, loss.departure.hostname, at=loss.at
                        )
        now = self._clock.monotonic()
        gone = {
            loss.departure.hostname: now - loss.departure.silent_seconds
            for loss in losses
            if not loss.departure.is_replaced
        }
        with self._mutex:
            left_behind = in_flight.left_behind(gone) if gone else []
        for start in range(0, len(left_behind), _MAX_GIVEN_UP):
            with self._mutex:
                for task in left_behind[start : start + _MAX_GIVEN_UP]:
                    given_up += in_flight.give_up_unstarted(task, gone)
        return given_up


def _with_wire_timestamp(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Undo what Celery's receiver does to the timestamp of a sender in another time zone.

    It shifts it by the difference of the zones, though a timestamp has no zone.
    """
    try:
        shift = (fields["utcoffset"] - utcoffset()) * 3_600
        return {**fields, "timestamp": fields["timestamp"] + shift} if shift else fields
    except (KeyError, TypeError):
        return fields
