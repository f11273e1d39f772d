"""Aggregator: what events change: the counts, the tasks in flight, what is known of the workers.

Events come in whatever order the broker delivers: order holds within one worker, not between
senders. Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from .. import events as ev
from ..settings import Settings
from ..snapshot import OTHER, MissingTask, TaskInFlight
from ..survey import WorkerAnswer
from .cells import Route
from .ended import WeighSuccess
from .in_flight import ANY_OWNER, InFlightTask
from .loss_meter import LossMeter
from .others import Others
from .process import Process
from .roster import Roster
from .sender import Sender
from .unnamed import UnnamedEvents
from .usual_events import Observer, UsualEvents
from .verdicts import Departure, Limits
from .window import MAX_TYPES, OpenWindow
from .worker import Worker

__all__ = ["Aggregator", "Loss"]

_NAMED = frozenset({"task-sent", "task-received"})  # these say the name of their task
_COMPACT_EVENTS = 32_768  # after so many, the times recorded so far are counted in bulk


class Loss(NamedTuple):
    """A worker that died, or left, and the tasks that were running there; when, by our clock.

    ``rerun`` are those that have been delivered again by now.
    """

    departure: Departure
    orphans: Collection[InFlightTask]
    at: float
    rerun: tuple[InFlightTask, ...] = ()


_MOST_TOLD, _MOST_PAST = 10_000, 500  # deaths that are remembered


def _dead(death: Departure) -> ev.Dead:
    silent = max(0.0, death.silent_seconds)
    return death.hostname, death.pid, silent, death.newest_at, death.id, False


class Aggregator:
    """The open window, the tasks in flight and the roster; ``observe`` brings them up to date.

    ``losses`` are the workers that died, or left, since they were last taken from here.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        wall: float,
        keep_ended: bool = False,
        route: Route | None = None,
        weigh: WeighSuccess | None = None,
        failures_only: bool = False,
    ) -> None:
        self.losses: list[Loss] = []
        self._told: dict[str, None] = {}  # ids of deaths that are in a window
        self._past: deque[ev.Dead] = deque(maxlen=_MOST_PAST)  # the last of them
        self.tasks = UsualEvents(
            settings,
            OpenWindow(wall),
            keep_ended=keep_ended,
            route=route,
            weigh=weigh,
            failures_only=failures_only,
        )
        self.in_flight, self.cells = self.tasks.in_flight, self.tasks.cells
        self.roster = Roster(
            Limits(
                grace=settings.worker_grace_seconds,
                grace_beats=settings.worker_grace_beats,
                forget=settings.worker_forget_seconds,
                drain=settings.worker_drain_seconds,
                survey=settings.survey_seconds if settings.probe_workers else None,
            ),
            max_workers=settings.max_workers,
        )
        # Worker → what its task events need, until its next heartbeat or the next verdicts.
        self._senders: dict[str, Sender] = {}
        self._evictions = 0
        self._stranger = Worker("", 0.0)  # any worker for which there is no room
        self._types: dict[str, float] = {}  # custom event types: when last counted, our clock
        self._unnamed = UnnamedEvents()
        self._leaving: list[tuple[Process, Loss]] = []
        self._from_workers: set[str] = set()  # names of which a worker has sent an event
        self._uncompacted = 0  # events observed since times were last counted in bulk
        self._idle_seconds = settings.idle_series_seconds
        only, observers = settings.only, self.tasks.observers
        # After the roster and the loss meters, which see all: what is not counted is no loss.
        self._others = (
            Others(
                only,
                self.in_flight,
                self.cells,
                learn=lambda task, now: self.tasks.learn((task,), now=now, wall=now),
                max_tasks=settings.max_tasks_in_flight,
                max_names=settings.max_task_names,
                idle_seconds=settings.idle_series_seconds,
            )
            if only
            else None
        )
        if self._others is not None:
            observers = {
                type_: partial(self._unless_theirs, self._others, observe)
                for type_, observe in observers.items()
            }
        self._at_once: dict[str, Observer] = {
            **observers,
            "worker-online": self._on_heartbeat,
            "worker-heartbeat": self._on_heartbeat,
            "worker-offline": self._on_goodbye,
        }
        nameless = dict.fromkeys(ev.TASK_TYPES - _NAMED, self._keep_unnamed)
        self._unless_unnamed = {**self._at_once, **nameless}  # while events wait for a name

    @property
    def window(self) -> OpenWindow:
        """Return the open window."""
        return self.tasks.window

    def observe(self, events: Sequence[ev.Event], *, now: float) -> None:
        """Count these events, in this order; ``now`` is our monotonic clock."""
        if self._unnamed.until is not None and now > self._unnamed.until:
            self.stop_awaiting_names()
        self.window.events_received += len(events)
        if self._evictions != self.roster.evictions:
            self._evictions = self.roster.evictions
            self._senders.clear()
        remaining = iter(events)
        if not self._unnamed:
            observers = self._at_once if self._unnamed.until is None else self._unless_unnamed
            self.tasks.observe(
                remaining,
                now=now,
                known=self._senders.get,
                turn_to=self._turn_to,
                others=observers.get,
                on_custom=self._on_custom,
                unnamed=self._unnamed,
            )
        for event in remaining:  # some of which may have to wait until others are named
            if event.type in ev.FROM_WORKERS:
                self.tasks.sender = self._turn_to(event.hostname, now)
            observe: Observer = self._unless_unnamed.get(event.type, self._on_custom)
            observe(event, now)
        self.in_flight.trim()
        if self._others is not None:
            self._others.in_flight.trim()
        self._uncompacted += len(events)
        if self._uncompacted >= _COMPACT_EVENTS:
            self._uncompacted = 0
            self.window.compact()

    def learn(self, tasks: Iterable[TaskInFlight], *, now: float, wall: float) -> None:
        """Put tasks in flight that workers hold, or a checkpoint kept; see ``Runs.learn``."""
        if self._others is not None:
            tasks = self._others.without_theirs(tasks, now=now, wall=wall)
        self.tasks.learn(tasks, now=now, wall=wall)
        self.stop_awaiting_names()

    def learn_names(self, tasks: Iterable[TaskInFlight]) -> None:
        """Remember the names of tasks that workers held before we listened; they may have ended."""
        self.tasks.learn_names(tasks if self._others is None else self._others.note_names(tasks))

    def export(self, wall_of: Callable[[float], float]) -> tuple[TaskInFlight, ...]:
        """Return every task in flight for a checkpoint, those of others as well."""
        theirs = () if self._others is None else self._others.in_flight.export(wall_of)
        return (*self.in_flight.export(wall_of), *theirs)

    def await_names(self, until: float) -> None:
        """Let events of tasks never seen wait for their names until ``learn`` is called.

        ``until``, by our monotonic clock, is when they wait no longer.
        """
        self._unnamed.until = until

    def stop_awaiting_names(self) -> None:
        """Count the events that wait for a name, under the one that is known by now."""
        for event, arrived_at in self._unnamed.take():
            sender = self._turn_to(event.hostname, arrived_at)
            # Its own meter has counted the event when it arrived.
            self.tasks.sender = replace(sender, meter=LossMeter())
            self._at_once[event.type](event, arrived_at)

    def judge(self, *, now: float) -> None:
        """Find out who died and what vanished; ``now`` is our monotonic clock."""
        if self._unnamed.until is not None and now > self._unnamed.until:
            self.stop_awaiting_names()
        in_flight, others = self.in_flight, self._others
        busy = {hostname for hostname, running in in_flight.running_on.items() if running}
        if others is not None:
            busy |= others.busy()
        for departure in self.roster.sweep(now=now, busy=busy):
            self._lose(departure, now)
        for hostname, said_at, owner in self.roster.idle():
            if hostname not in busy:
                continue
            if in_flight.running_on.get(hostname):
                for task in in_flight.drop_idle(hostname, said_at, owner):
                    self.tasks.count_vanished(task)
            if others is not None:
                others.in_flight.drop_idle(hostname, said_at, owner)
        in_flight.forget_workers(self.roster)
        if others is not None:
            others.in_flight.forget_workers(self.roster)
        self._senders.clear()

    def _lose(self, departure: Departure, now: float) -> None:
        self.losses.append(self._loss(departure, now))
        if self._others is not None:
            self._others.leave(departure)

    def dead(self, *, with_past: bool) -> tuple[ev.Dead, ...]:
        """Return the processes found dead since the losses were last taken.

        ``with_past``: and those of earlier windows, for who may not know.
        """
        deaths = (loss.departure for loss in self.losses if not loss.departure.said_goodbye)
        return (*(self._past if with_past else ()), *(_dead(death) for death in deaths))

    def note_dead(self, dead: Sequence[ev.Dead], *, now: float) -> None:
        """Let the losses be those that died according to who judges, and who left.

        One that is told twice, as in two events that were under way at once, is a loss once.
        """
        found: dict[tuple[str, int | None], list[Loss]] = {}
        left = []
        for loss in self.losses:
            if loss.departure.said_goodbye:
                left.append(loss)
            else:
                found.setdefault((loss.departure.hostname, loss.departure.pid), []).append(loss)
        self.losses = left
        for death in dead:
            hostname, pid, silent, newest_at, id_, is_past = death
            if id_ in self._told:
                continue
            self._remember(death)
            same = found.get((hostname, pid))
            if same:
                self.losses.append(same.pop())
            else:
                latest = newest_at if is_past else None
                lost = self.roster.lose(hostname, pid, silent=silent, newest_at=latest, now=now)
                self._lose(lost, now)
            if is_past:
                self.losses.pop()

    @property
    def past_deaths(self) -> tuple[ev.Dead, ...]:
        """Return the last that are in a window, for who was away."""
        return tuple(self._past)

    def note_past(self, dead: Sequence[ev.Dead], *, now: float) -> None:
        """Note deaths that are in a window of others, while we were away."""
        for death in dead:
            hostname, pid, silent, newest_at, id_, _ = death
            if id_ in self._told:
                continue
            self._remember(death)
            for loss in self.losses:
                departure = loss.departure
                same = (departure.hostname, departure.pid) == (hostname, pid)
                if same and not departure.said_goodbye:
                    self.losses.remove(loss)
                    break
            else:
                lost = self.roster.lose(hostname, pid, silent=silent, newest_at=newest_at, now=now)
                self._lose(lost, now)
                self.losses.pop()

    def introduce(self, others: Sequence[ev.Alive], *, now: float) -> None:
        """Note workers that another monitor holds for alive, which may not know yet who died."""
        died_at: dict[str, float] = {}
        for hostname, _, _, newest_at, *_ in self._past:
            died_at[hostname] = max(newest_at, died_at.get(hostname, 0.0))
        found = [one for one in others if one[5] > died_at.get(one[0], -1.0)]
        self.roster.introduce(found, now=now)

    def note_judged(self) -> None:
        """Note that the window that ends has the deaths that we found ourselves."""
        for loss in self.losses:
            if not loss.departure.said_goodbye and loss.departure.id not in self._told:
                self._remember(_dead(loss.departure))

    def _remember(self, death: ev.Dead) -> None:
        id_ = death[4]
        self._told[id_] = None
        if len(self._told) > _MOST_TOLD:
            self._told.pop(next(iter(self._told)))
        self._past.append((*death[:4], id_, True))

    def _loss(self, departure: Departure, now: float) -> Loss:
        """Return the departure with the tasks that it leaves behind; these run no more."""
        in_flight, hostname, runs = self.in_flight, departure.hostname, departure.runs
        if runs is None and departure.owner is ANY_OWNER:  # nearly always
            return Loss(departure, in_flight.abandon(hostname), now)
        if runs is None:
            runs = in_flight.runs_of(hostname, departure.owner)
        orphans = tuple(run.task for run in runs if in_flight.is_running(run))
        in_flight.abandon_some(hostname, orphans)
        if departure.said_goodbye:  # it may have handed the others over
            return Loss(departure, orphans, now)
        others = (run for run in runs if not in_flight.is_running(run))
        return Loss(departure, orphans, now, tuple(run.task for run in others if run.is_followed()))

    def note_answers(self, answers: Iterable[WorkerAnswer], *, at: float) -> None:
        """Note who answered when all workers were asked; ``at`` is our monotonic clock."""
        self.note_names(self.window.names_from_workers())
        answers = tuple(answers)
        self.roster.note_answers(answers, at=at, sends_events=self._sends_events)
        reads = {answer.hostname: answer.queues for answer in answers if answer.queues}
        self.cells.note_readers(reads, known=self.roster)
        if self._others is not None:
            self._others.note_readers(at)
        self._senders.clear()

    def swap(self, *, now: float, wall: float) -> OpenWindow:
        """Put a new window in the place of the open one, which is returned."""
        window = self.tasks.swap(OpenWindow(wall), now=now)
        self._senders.clear()
        window.events_lost = self.roster.take_lost_events(now=now)
        window.workers_refused = self.roster.take_refused()
        if self._others is not None:
            self._others.forget_idle(now)
        self._types = {
            type_: counted_at
            for type_, counted_at in self._types.items()
            if now - counted_at <= self._idle_seconds
        }
        return window

    def take_losses(self, *, with_dead: bool = True) -> tuple[Loss, ...]:
        """Return the workers that died, or left, since the last call."""
        losses = self.losses
        self.losses = []
        if not with_dead:
            self.losses = [loss for loss in losses if not loss.departure.said_goodbye]
            losses = [loss for loss in losses if loss.departure.said_goodbye]
        return tuple(losses)

    def take_leaving(self) -> tuple[Loss, ...]:
        """Return the workers that said goodbye, while they ran tasks, since the last call.

        Without those that are back: the goodbye was one of the past.
        """
        leaving, self._leaving = self._leaving, []
        return tuple(loss for process, loss in leaving if not process.is_online)

    def lose(self, queue: str, uuid: str) -> MissingTask | None:
        """Give up a task that is in this queue no more; None if that cannot be known."""
        task = self.in_flight.get(uuid)
        if task is None or task.cell.name not in self._from_workers or task.cell.name != task.name:
            self.in_flight.waiting.drop(queue, uuid)
            return None
        return self.in_flight.lose(queue, uuid)

    # -- one event each ------------------------------------------------------------------

    def _on_heartbeat(self, event: ev.WorkerEvent, now: float) -> None:
        hostname = event.hostname
        self._senders.pop(hostname, None)
        for predecessor in self.roster.heartbeat(event, now=now):
            if predecessor.runs is None:
                owner = self.roster.owner_of(hostname, predecessor)
                predecessor.runs = self.in_flight.runs_of(hostname, owner)
        queues = event.facts.queues if event.facts is not None else None
        if queues and self.cells.note_reader(hostname, queues, known=self.roster):
            if self._others is not None:
                self._others.note_readers(now)
            self._senders.clear()

    def _on_goodbye(self, event: ev.WorkerEvent, now: float) -> None:
        hostname = event.hostname
        self._senders.pop(hostname, None)
        process = self.roster.goodbye(event, now=now)
        if process is None:
            return
        running = process.runs
        if running is None:
            owner = self.roster.owner_of(hostname, process)
            running = self.in_flight.runs_of(hostname, owner)
        running = tuple(run for run in running if self.in_flight.is_running(run))
        if running:
            departure = Departure(hostname, 0.0, said_goodbye=True)
            loss = Loss(departure, tuple(run.task for run in running), now)
            self._leaving.append((process, loss))

    def _on_custom(self, event: ev.CustomEvent, now: float) -> None:
        counts = self.window.custom_events
        type_ = event.type
        if type_ == ev.OWN_EVENT:
            self.window.events_received -= 1
            return
        if type_ not in self._types and len(self._types) >= MAX_TYPES:
            type_ = self.window.fold(type_)
        else:
            self._types[type_] = now
        counts[type_] = counts.get(type_, 0) + 1

    def _unless_theirs(
        self, others: Others, observe: Observer, event: ev.TaskEvent, now: float
    ) -> None:
        """Count an event, unless it is about a task of another service."""
        if not others.has(event, now):
            observe(event, now)
        elif event.type == "task-started":
            self.tasks.sender.meter.started(event.timestamp, event.pid)

    def _keep_unnamed(self, event: ev.TaskEvent, now: float) -> None:
        """Let an event wait that concerns a task never seen; count any other at once."""
        uuid, unnamed = event.uuid, self._unnamed
        is_known = uuid in self.in_flight or self.in_flight.recently_ended.find(uuid) is not None
        is_known = is_known or (self._others is not None and self._others.knows(uuid))
        if uuid not in unnamed and (is_known or unnamed.is_full):
            self._at_once[event.type](event, now)
            return
        unnamed.keep(event, now)
        if event.type == "task-started":
            self.tasks.sender.meter.started(event.timestamp, event.pid)

    def _turn_to(self, hostname: str, now: float) -> Sender:
        """Note that a task event of this worker came; return what its next ones need."""
        worker = self.roster.task_event(hostname, now)
        sender = Sender(
            hostname,
            worker or self._stranger,
            LossMeter() if worker is None else worker.meter,
            self.in_flight.on_worker(hostname),
            self.cells.of_sender(hostname),
        )
        if worker is not None and not worker.is_several:
            sender.hostname = worker.hostname
            self._senders[hostname] = sender
        return sender

    # -- what they share -----------------------------------------------------------------

    def note_names(self, names: Collection[str]) -> None:
        """Note that a worker has sent events of tasks of these names."""
        self._from_workers.intersection_update(self.cells.names)
        self._from_workers.update(names)

    def _sends_events(self, name: str) -> bool:
        """Return whether an event of tasks of that name ever came from a worker.

        It is not known of those that are counted together.
        """
        theirs = () if self._others is None else self._others.names
        return any(
            known in names for names in (self._from_workers, theirs) for known in (name, OTHER)
        )
