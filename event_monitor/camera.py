"""Camera: turns the live state into one complete Snapshot per interval. Knows no sink, no network.

Every shot goes to the ``SnapshotConsumer``s it was made with, in their order.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Protocol

from celery.events.snapshot import Polaroid
from celery.events.state import State as CeleryState

from .broker.routing import route_of
from .clock import SYSTEM_CLOCK, Clock
from .notices import Notices
from .objectives import ErrorBudgets
from .schedules import LastSeen, OverdueTasks, expected_tasks
from .settings import Settings, conf_of
from .snapshot import Live, Snapshot, Window
from .state import FailingTasks, Limit, State, copy_of
from .state.exposure import Exposure

__all__ = [
    "CELERY_DEFAULT_FREQ",
    "Camera",
    "Latest",
    "SnapshotConsumer",
    "has_own_shutter",
    "shown_to",
]

log = logging.getLogger(__name__)

CELERY_DEFAULT_FREQ = 1.0  # what `celery events` passes when -F is absent
_PATIENCE_SECONDS = 10.0  # a stop does not wait longer for a shot under way
_MOST_EXPOSED = 50  # windows that wait to be finished
_MARKER_SECONDS = 2.0  # within which an event of our own comes back
_PEEK_SECONDS = 1.0  # a `Live` is not taken more often

#: Gets each complete snapshot, in the thread that took the shot, outside the state's lock.
SnapshotConsumer = Callable[[Snapshot], None]


class Label(Protocol):
    """What becomes of a window; see ``leader.open_window.Label``."""

    @property
    def window(self) -> str: ...
    @property
    def is_kept(self) -> bool: ...
    @property
    def dead(self) -> tuple[tuple[str, int | None, float, float, str, bool], ...] | None: ...
    @property
    def puts_off_deaths(self) -> bool: ...


class Windows(Protocol):
    """Where windows end for several monitors at once; see ``leader.windows.Windows``."""

    def turn(self, cut: str = "") -> Label: ...
    def at_boundary(self) -> Literal["clock", "marker", "wait"]: ...
    def awaits_marker(self) -> bool: ...
    def give_up_marker(self) -> None: ...


def has_own_shutter(camera: Polaroid) -> bool:
    """Return whether a subclass reads the state, as in Celery's guide."""
    return type(camera).on_shutter is not Polaroid.on_shutter


def shown_to(camera: Polaroid, state: CeleryState) -> CeleryState:
    """Return what the ``on_shutter`` of a subclass gets: a copy of Celery's state, or our own."""
    return state if isinstance(state, State) else copy_of(state, clear_after=camera.clear_after)


class Latest:
    """Keeps the last snapshot, for who looks between two shots. Any thread may read it.

    But for what is counted by name and queue: of thousands of names that is 20 MB, for which nobody
    asks between two shots.
    """

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Keep this one."""
        window = Window(snapshot.window.opened_at, snapshot.window.closed_at)
        self.snapshot = replace(snapshot, window=window, in_flight=(), ack_tokens=())


class Camera(Polaroid):  # type: ignore[misc]  # Celery ships no types
    """Celery's Polaroid on a clock of its own: override ``on_snapshot``, or hand in consumers.

    Shots fall on multiples of the interval on the wall clock. A shot that ``maxrate`` skips loses
    nothing: its events are in the next. ``cancel`` takes a last shot. ``freq`` 1.0 means the
    setting ``interval`` (Celery passes it when nobody chose); any other value is taken as given.

    A state made by Celery is taken over: from then on it counts here too. An ``on_shutter`` gets a
    copy of it, with the tasks and workers that Celery keeps, which ``clear_after`` lets it forget.

    ``state_dir``, if it is ours, keeps when periodic tasks were seen, and the error budgets.

    ``complete`` adds to a snapshot what the events cannot tell. Without ``consumers`` the log gets
    the notices. ``on_crash`` is called in the camera's thread when a shot fails; without it the
    failure is logged and the shots go on.

    Any thread may call ``cut``, ``capture``, ``hurry`` and ``peek``; ``install`` and ``cancel``
    belong to the thread that made the camera. Consumers and ``on_snapshot`` run in the thread that
    takes the shot, one shot at a time.
    """

    def __init__(
        self,
        state: CeleryState,
        freq: float = CELERY_DEFAULT_FREQ,
        maxrate: str | None = None,
        cleanup_freq: float = 3600.0,
        timer: Any = None,
        app: Any = None,
        *,
        settings: Settings | None = None,
        clock: Clock = SYSTEM_CLOCK,
        state_dir: str = "",
        complete: Callable[[Snapshot], Snapshot] | None = None,
        consumers: Sequence[SnapshotConsumer] | None = None,
        on_crash: Callable[[Exception], None] | None = None,
        patience_seconds: float = _PATIENCE_SECONDS,
        windows: Windows | None = None,
    ) -> None:
        super().__init__(
            state, freq=freq, maxrate=maxrate, cleanup_freq=cleanup_freq, timer=timer, app=app
        )
        self.settings = settings or Settings.load(conf=conf_of(self.app))
        self.clock = clock
        self._made_with = state
        if not isinstance(state, State):
            self.state = State(self.settings, clock=clock, route=route_of(self.app))
            self.state.adopt(state)
        is_chosen = freq is not None and freq != CELERY_DEFAULT_FREQ
        self.interval = float(freq) if is_chosen else self.settings.interval
        chosen_by = "-F" if is_chosen else "the setting `interval`"
        log.info("one shot every %g s (%s)", self.interval, chosen_by)
        if consumers is None:
            stalled_seconds = self.settings.worker_stalled_seconds
            consumers = (Notices(stalled_seconds=stalled_seconds, clock=clock),)
        self._consumers = tuple(consumers)
        self._complete = complete
        self._on_crash = on_crash
        self._patience_seconds = patience_seconds
        self._windows = windows
        self._exposed: deque[tuple[Exposure, Label | None]] = deque()
        self._failing = FailingTasks(self.settings.may_fail)
        only = self.settings.only
        self._limit = Limit(only)
        expected = expected_tasks(self.app, self.settings, clock=clock)
        self._overdue = OverdueTasks(
            tuple(task for task in expected if only.has_task(task.name)),
            interval_seconds=self.interval,
            grace_seconds=self.settings.schedule_grace_seconds,
            last_seen=LastSeen(state_dir),
            clock=clock,
        )
        self._budgets = ErrorBudgets(self.settings.objectives, state_dir=state_dir)
        self._shutter_lock = threading.Lock()  # one shot at a time: the ticker's, and others'
        self._peek_lock = threading.Lock()
        self._live: tuple[float, bool, Live] | None = None  # our monotonic clock, has it times, it
        self._wake = threading.Event()
        self._stopping = False
        self._hurried = False
        self._ticker: threading.Thread | None = None

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Do something with a snapshot: for subclasses, after the consumers."""

    def install(self) -> None:
        """Begin to take shots, in a thread of the camera's own."""
        self._stopping = False
        self._wake.clear()
        first_at = datetime.fromtimestamp(self._next_boundary())  # noqa: DTZ006  as the log's times
        log.info("the first shot is at %s", f"{first_at:%H:%M:%S}")
        self._ticker = threading.Thread(target=self._tick, name="camera", daemon=True)
        self._ticker.start()

    def cancel(self) -> None:
        """Stop, and take the last shot. Safe to call twice.

        Raises ``TimeoutError`` if a shot is under way that does not end.
        """
        if self._ticker is None:
            return
        self._stopping = True
        self._wake.set()
        ticker, self._ticker = self._ticker, None
        ticker.join(self._patience_seconds)
        if ticker.is_alive():  # in the way of the last one too
            raise TimeoutError("a shot hangs, on a disk perhaps; its window and the last are lost")
        self.cut()

    def capture(self) -> Snapshot | None:
        """Take a shot now; return None when ``maxrate`` forbids it."""
        if self.maxrate is not None and not self.maxrate.can_consume():
            return None
        return self.cut()

    def cut(self) -> Snapshot:
        """Take a shot now, whatever ``maxrate`` says, and hand the snapshot to the consumers."""
        with self._shutter_lock:
            self._hand_on_exposed()
            return self._hand_on(*self.state.freeze_while(self._expose))

    def cut_at(self, event_id: str = "") -> None:
        """End the window here, in the receiving thread; the shot is finished in the camera's own.

        ``event_id`` is that of an event by which all monitors end it. While many wait to be
        finished, none is ended: anybody who may send events can send these.
        """
        if len(self._exposed) >= _MOST_EXPOSED:
            return
        self._exposed.append(self.state.freeze_while(lambda: self._expose(event_id)))
        self._wake.set()

    def _expose(self, event_id: str = "") -> tuple[Exposure, Label | None]:
        """Swap the window; the caller holds the state's lock, so that its label is its own."""
        if self._windows is None:
            return self.state.expose(), None
        label = self._windows.turn(event_id)
        return self.state.expose(dead=label.dead, puts_off_deaths=label.puts_off_deaths), label

    def _hand_on_exposed(self) -> None:
        while self._exposed:
            self._hand_on(*self._exposed.popleft())

    def _hand_on(self, exposure: Exposure, label: Label | None) -> Snapshot:
        """Finish a shot and hand it to the consumers."""
        snapshot = self._develop(exposure)
        if label is not None:
            snapshot = replace(snapshot, shared_as=label.window, is_kept=label.is_kept)
        if self._complete is not None:
            snapshot = self._complete(snapshot)
        snapshot = self._limit.after(snapshot)
        for consume in self._consumers:
            consume(snapshot)
        self.shutter_signal.send(sender=self.state)
        if has_own_shutter(self):
            self.on_shutter(shown_to(self, self._made_with))
        self.on_snapshot(snapshot)
        return snapshot

    def _develop(self, exposure: Exposure) -> Snapshot:
        """Make a snapshot, and add what follows from it."""
        developed = exposure.develop()
        return replace(
            developed,
            failing=self._failing.after(developed.window),
            scheduled=self._overdue.after(developed),
            objectives=self._budgets.after(developed.window),
        )

    def peek(self, *, with_times: bool = True) -> Live:
        """Return what is counted and running now; the window goes on.

        It is taken at most once a second, and only when somebody asks; once more where it has no
        times and somebody asks for them. Without, ``tasks`` are the only counts in it.
        """
        with self._peek_lock:
            now = self.clock.monotonic()
            if self._live is not None and now - self._live[0] < _PEEK_SECONDS:
                _, has_times, live = self._live
                if has_times or not with_times:
                    return live
            live = self._limit.during(self.state.peek(with_times=with_times))
            self._live = now, with_times, live
            return live

    def hurry(self) -> None:
        """Take a shot as soon as may be, in the camera's thread, whatever ``maxrate`` says.

        For when messages must not wait for their acknowledgement until the next boundary; the
        window after it ends at that boundary.
        """
        self._hurried = True
        self._wake.set()

    def _tick(self) -> None:
        cleaned_at = self.clock.monotonic()
        target = self._next_boundary()
        while self.wait_for_boundary(target):
            is_over = self._is_over(target)  # else there is something to finish, or was just now
            try:
                with self._shutter_lock:
                    self._hand_on_exposed()
                if self._hurried:
                    self._hurried = False
                    self.cut()
                elif is_over:
                    self._end_window()
                if self.clock.monotonic() - cleaned_at >= self.cleanup_freq:
                    cleaned_at = self.clock.monotonic()
                    self.cleanup()
            except Exception as error:
                log.exception("a shot failed")
                if self._on_crash is not None:
                    self._on_crash(error)
                    return
            if is_over:
                target = self._next_boundary()

    def _end_window(self) -> None:
        """End the window at its time: here, or at an event that all monitors see."""
        how = "clock" if self._windows is None else self._windows.at_boundary()
        if how == "marker":
            self._await_marker()
        elif how == "clock":
            self.capture()

    def _await_marker(self) -> None:
        windows = self._windows
        deadline = self.clock.monotonic() + _MARKER_SECONDS
        while windows is not None and windows.awaits_marker() and not self._stopping:
            missing = deadline - self.clock.monotonic()
            if missing <= 0:
                windows.give_up_marker()
                self.capture()
                return
            self._wake.wait(missing)
            self._wake.clear()
        with self._shutter_lock:
            self._hand_on_exposed()

    def wait_for_boundary(self, target: float | None = None) -> bool:
        """Sleep until the wall clock shows a multiple of the interval, or until hurried.

        Return False if asked to stop.
        """
        target = self._next_boundary() if target is None else target
        while not self._is_over(target):
            if self._wake.wait(target - self.clock.wall()):
                self._wake.clear()
                break
        return not self._stopping

    def _is_over(self, target: float) -> bool:
        """Return whether it is that time, or the clock was stepped back."""
        missing = target - self.clock.wall()
        return missing <= 0 or missing > self.interval

    def _next_boundary(self) -> float:
        return (self.clock.wall() // self.interval + 1) * self.interval
