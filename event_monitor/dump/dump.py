"""Dump: receives, filters and prints events until it is told to stop; then it has counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from ..broker.capabilities import carries_events
from ..broker.own_events import is_own_event
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent, UnavailableError
from ..events import DetailedTaskEvent, Event, TaskEvent
from ..over_sqs.configuration import event_queue_of
from ..probes.inspect import tasks_in_flight
from ..receiver import Receiver
from ..snapshot import AckToken, TaskInFlight
from .filters import EventFilter
from .known_tasks import KnownTask, KnownTasks
from .lines import as_json, as_text

__all__ = ["Dump"]

_LEARN_SECONDS = 3.0  # how long the workers have to name the tasks that they hold
_MAX_WAITING = 10_000  # events that wait for that

_NOT_A_TASK = KnownTask()


class Dump:
    """Prints the events that a filter wants: ``run`` it in one thread, ``stop`` it from any.

    The workers are asked for the names of the tasks they hold; until they have answered nothing is
    shown. ``on_events`` and ``on_reading`` belong to the thread that runs it.

    ``write`` gets each text without a line break; when it raises ``OSError``, nobody reads any
    more, and ``run`` raises the same. ``limit``: stop after so many; ``seconds``: stop then.
    """

    def __init__(
        self,
        app: CeleryApp,
        wanted: EventFilter,
        *,
        write: Callable[[str], None],
        as_documents: bool = False,
        with_details: bool = False,
        limit: int | None = None,
        seconds: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.shown: Counter[str] = Counter()  # by type
        self.received = self.invalid = 0
        self._app = app
        self._wanted = wanted
        self._write = write
        self._form = as_json if as_documents else as_text
        self._with_details = with_details
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._known = KnownTasks()
        self._has_learnt = threading.Event()
        self._waiting: list[tuple[float, Event]] = []  # until the workers have answered
        self._failure: OSError | None = None
        source = app.connection_for_read()
        if event_queue_of(app) is not None:
            raise UnavailableError(
                "the app's events are in an SQS queue, of which the monitor is the only reader: "
                "what is shown here would be missing there."
            )
        if not carries_events(source):
            raise UnavailableError(
                f"Celery sends no events over the {source.transport_cls} transport; "
                "Redis and RabbitMQ carry them."
            )
        self._receiver = Receiver(source, app=app)
        self._receiver.on_events = self.on_events
        self._receiver.on_invalid = self._on_invalid
        self._receiver.on_reading = self.on_reading
        self._receiver.task_event = DetailedTaskEvent if with_details else TaskEvent

    def run(self) -> None:
        """Receive until stopped, however often the broker goes away."""
        threading.Thread(target=self._learn, name="names", daemon=True).start()
        timer = threading.Timer(self._seconds or 0.0, self.stop)
        timer.daemon = True
        if self._seconds is not None:
            timer.start()
        try:
            self._receiver.capture()
        finally:
            timer.cancel()
        self._has_learnt.set()
        self.on_reading()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let ``run`` return soon. Safe in a signal handler."""
        self._receiver.stop()

    def summary(self, *, seconds: float) -> str:
        """Return what was shown, of how much, in how long."""
        by_type = ", ".join(f"{count:,} {name}" for name, count in self.shown.most_common())
        invalid = f"; {self.invalid:,} were no events" if self.invalid else ""
        return (
            f"{self.shown.total():,} of {self.received:,} events shown in {seconds:.0f} s"
            f"{f': {by_type}' if by_type else ''}{invalid}"
        )

    def _learn(self) -> None:
        try:
            self.on_answers(tasks_in_flight(self._app, timeout=_LEARN_SECONDS))
        except ConnectionError:  # the receiver says so
            self.on_answers(())

    def on_answers(self, tasks: Sequence[TaskInFlight]) -> None:
        """Note the names of tasks that were received before; what waits for them can be shown."""
        self._known.learn(tasks)
        self._has_learnt.set()

    def on_events(self, events: Sequence[Event], _token: AckToken | None) -> None:
        """Keep what has arrived, and show it as soon as its names are known."""
        at = self._clock.wall()
        self._waiting += [(at, event) for event in events if not is_own_event(event)]
        if len(self._waiting) > _MAX_WAITING:
            self._has_learnt.set()
        self.on_reading()

    def on_reading(self) -> None:
        """Show what has arrived, unless the workers are still being asked for names."""
        if not (self._waiting and self._has_learnt.is_set()):
            return
        events, self._waiting = self._waiting, []
        for at, event in events:
            if self._is_over():
                break
            self.received += 1
            known = self._known.complete(event) if isinstance(event, TaskEvent) else _NOT_A_TASK
            if not self._wanted.wants(event, known):
                continue
            try:
                self._write(self._form(event, known, at=at, with_details=self._with_details))
            except OSError as error:  # to the receiver it would be the broker that is gone
                self._failure = error
            else:
                self.shown[event.type] += 1
        if self._is_over():
            self.stop()

    def _is_over(self) -> bool:
        is_full = self._limit is not None and self.shown.total() >= self._limit
        return is_full or self._failure is not None

    def _on_invalid(self, _error: InvalidEvent) -> None:
        self.invalid += 1
