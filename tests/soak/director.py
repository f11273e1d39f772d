"""Director: does to the fleet what the plan says, each thing to its end, several at a time.

A script is a generator that yields the condition it waits for. Nothing is slept through: each
condition has a deadline, after which the soak fails with its sentence.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from ..support.processes import Process
from .fleet import Fleet, Slot, Worker
from .plan import Action, Kind
from .recording import Recording

DEADLINE_SECONDS = 90.0  # a worker starts in 1 s, ends after its longest task in 20 s; this is slow


@dataclass(frozen=True, slots=True)
class Condition:
    """What a script waits for."""

    holds: Callable[[], bool]
    sentence: str


Script = Generator[Condition, None, None]


@dataclass(slots=True)
class _Running:
    script: Script
    condition: Condition
    deadline: float


class Director:
    """Call ``tick()`` often, from one thread. ``done`` counts what was done, by its kind."""

    def __init__(
        self, fleet: Fleet, slots: tuple[Slot, ...], monitor: Process, recording: Recording
    ) -> None:
        self.done: dict[str, int] = {}
        self._fleet = fleet
        self._slots = slots
        self._monitor = monitor
        self._recording = recording
        self._busy: set[str] = set()  # names that a script has for itself
        self._running: list[_Running] = []
        self._next_slot = 0
        self._is_paused = False

    @property
    def is_idle(self) -> bool:
        """Return whether all that was begun is at its end."""
        return not self._running

    def start_all(self) -> None:
        """Start a worker in every slot."""
        for slot in self._slots:
            self._begin(self._alone(slot, self._arrive(slot)))

    def begin(self, action: Action) -> bool:
        """Begin an action; return False if there is no worker to do it to just now."""
        if action.kind == "pause":
            if self._is_paused:
                return False
            self._begin(self._pause(action.seconds))
        else:
            worker = self._choose(wants_work=action.kind == "kill-draining")
            if worker is None:
                return False
            self._begin(self._alone(worker.slot, self._script(action, worker)))
        self.done[action.kind] = self.done.get(action.kind, 0) + 1
        return True

    def tick(self) -> None:
        """Carry on with all that has what it waited for."""
        self._recording.read()
        for running in list(self._running):
            if running.condition.holds():
                self._running.remove(running)
                self._begin(running.script)
            elif time.monotonic() > running.deadline:
                raise AssertionError(
                    f"not within {DEADLINE_SECONDS:g} s: {running.condition.sentence}"
                )

    def _begin(self, script: Script) -> None:
        condition = next(script, None)
        if condition is not None:
            deadline = time.monotonic() + DEADLINE_SECONDS
            self._running.append(_Running(script, condition, deadline))

    def _choose(self, *, wants_work: bool) -> Worker | None:
        """Return the worker of the next name that is at rest: one process, and it serves."""
        found = None
        for offset in range(len(self._slots)):
            index = (self._next_slot + offset) % len(self._slots)
            workers = self._fleet.of(self._slots[index])
            if self._slots[index].name in self._busy or len(workers) != 1:
                continue
            if workers[0].is_serving and (found is None or (wants_work and workers[0].running)):
                found, chosen = workers[0], index
                if not wants_work or found.running:
                    break
        if found is not None:
            self._next_slot = chosen + 1
        return found

    # -- scripts ---------------------------------------------------------------------------------

    def _script(self, action: Action, worker: Worker) -> Script:
        scripts: dict[Kind, Callable[[], Script]] = {
            "stop": lambda: self._stop(worker, action.seconds),
            "roll": lambda: self._roll(worker),
            "kill": lambda: self._kill(worker, action.seconds),
            "kill-draining": lambda: self._kill_draining(worker, action.seconds),
            "twin": lambda: self._twin(worker, action),
        }
        return scripts[action.kind]()

    def _alone(self, slot: Slot, script: Script) -> Script:
        self._busy.add(slot.name)
        yield from script
        self._busy.discard(slot.name)

    def _arrive(self, slot: Slot) -> Script:
        yield from self._start(slot)

    def _start(self, slot: Slot) -> Generator[Condition, None, Worker]:
        worker = self._fleet.start(slot)
        yield Condition(lambda: worker.is_ready or worker.has_ended, f"{slot.name} is ready")
        return worker

    def _stop(self, worker: Worker, seconds: float) -> Script:
        """Stop it, and start another when it has ended."""
        worker.stop()
        yield _has_ended(worker)
        yield _after(seconds)
        yield from self._start(worker.slot)

    def _roll(self, worker: Worker) -> Script:
        """Stop it, and start another at once, while the old one may still be at work."""
        worker.stop()
        yield from self._start(worker.slot)
        yield _has_ended(worker)

    def _kill(self, worker: Worker, seconds: float) -> Script:
        worker.kill()
        yield _after(seconds)
        yield from self._start(worker.slot)

    def _kill_draining(self, worker: Worker, seconds: float) -> Script:
        """Stop it, and kill it as soon as it has said goodbye."""
        worker.stop()
        yield Condition(
            lambda: worker.said_goodbye or worker.has_ended, f"{worker.life.name} says goodbye"
        )
        yield from self._kill(worker, seconds)

    def _twin(self, worker: Worker, action: Action) -> Script:
        """Start a second worker under its name; after some time one of them ends."""
        twin = yield from self._start(worker.slot)
        yield _after(action.seconds)
        leaver = worker if action.older else twin
        if action.kills:
            leaver.kill()
        else:
            leaver.stop()
        yield _has_ended(leaver)

    def _pause(self, seconds: float) -> Script:
        """Freeze the monitor."""
        self._is_paused = True
        self._monitor.send(signal.SIGSTOP)
        yield _after(seconds)
        self._monitor.send(signal.SIGCONT)
        self._is_paused = False


def _has_ended(worker: Worker) -> Condition:
    return Condition(lambda: worker.has_ended, f"{worker.life.name} has ended")


def _after(seconds: float) -> Condition:
    end = time.monotonic() + seconds
    return Condition(lambda: time.monotonic() >= end, f"{seconds:g} s have passed")
