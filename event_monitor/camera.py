"""Camera: turns the live state into one Snapshot per interval. Knows no sink, no network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery.events.snapshot import Polaroid
from celery.events.state import State as CeleryState

from .clock import SYSTEM_CLOCK, Clock
from .settings import Settings, conf_of
from .snapshot import Snapshot
from .state import State

__all__ = ["CELERY_DEFAULT_FREQ", "Camera"]

log = logging.getLogger(__name__)

_SHOT_SECONDS = 10.0  # a stop does not wait longer for a shot under way
CELERY_DEFAULT_FREQ = 1.0  # what `celery events` passes when -F is absent


class Camera(Polaroid):  # type: ignore[misc]  # Celery ships no types
    """Celery's Polaroid on a clock of its own: override ``on_snapshot``, or hand one in.

    Shots fall on multiples of the interval on the wall clock. A shot that ``maxrate`` skips loses
    nothing: its events are in the next. ``cancel`` takes a last shot. ``freq`` 1.0 means the
    setting ``interval`` (Celery passes it when nobody chose); any other value is taken as given.

    A state made by Celery is taken over: from then on it counts here, and stays empty itself.
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
        on_snapshot: Callable[[Snapshot], None] | None = None,
        on_crash: Callable[[Exception], None] | None = None,
    ) -> None:
        super().__init__(
            state, freq=freq, maxrate=maxrate, cleanup_freq=cleanup_freq, timer=timer, app=app
        )
        self.settings = settings or Settings.load(conf=conf_of(self.app))
        self.clock = clock
        if not isinstance(state, State):
            self.state = State(self.settings, clock=self.clock)
            self.state.adopt(state)
        chosen = freq is not None and freq != CELERY_DEFAULT_FREQ
        self.interval = float(freq) if chosen else self.settings.interval
        log.info(
            "one shot every %g s (%s)", self.interval, "-F" if chosen else "the setting `interval`"
        )
        self._on_snapshot = on_snapshot
        self.on_crash = on_crash
        self._shutter_lock = threading.Lock()  # the ticker's shot and the last one
        self._wake = threading.Event()
        self._stopping = False
        self._hurried = False
        self._ticker: threading.Thread | None = None

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Do something with a snapshot; runs in the camera's thread, outside the state's lock."""
        if self._on_snapshot is not None:
            self._on_snapshot(snapshot)

    def install(self) -> None:
        """Begin to take shots, in a thread of the camera's own."""
        self._stopping = False
        self._wake.clear()
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
        ticker.join(_SHOT_SECONDS)
        if ticker.is_alive():  # in the way of the last one too
            raise TimeoutError("a shot hangs, on a disk perhaps; its window and the last are lost")
        self._shoot()

    def capture(self) -> Snapshot | None:
        """Take a shot now; None when ``maxrate`` forbids it."""
        if self.maxrate is not None and not self.maxrate.can_consume():
            return None
        return self._shoot()

    def hurry(self) -> None:
        """Take a shot as soon as may be, in the camera's thread, whatever ``maxrate`` says.

        For when messages must not wait for their acknowledgement until the next boundary; the
        window after it ends at that boundary.
        """
        self._hurried = True
        self._wake.set()

    def _shoot(self) -> Snapshot:
        with self._shutter_lock:
            exposure = self.state.freeze_while(self.state.expose)
            snapshot: Snapshot = exposure.develop()
            self._report(snapshot)
            self.shutter_signal.send(sender=self.state)
            self.on_shutter(self.state)
            self.on_snapshot(snapshot)
            return snapshot

    def _tick(self) -> None:
        cleaned_at = self.clock.monotonic()
        while self._wait_for_boundary():
            try:
                if self._hurried:
                    self._hurried = False
                    self._shoot()
                else:
                    self.capture()
                if self.clock.monotonic() - cleaned_at >= self.cleanup_freq:
                    cleaned_at = self.clock.monotonic()
                    self.cleanup()
            except Exception as error:
                log.exception("a shot failed")
                if self.on_crash is not None:
                    self.on_crash(error)
                    return

    def _wait_for_boundary(self) -> bool:
        """Sleep until the wall clock shows a multiple of the interval, or until hurried.

        False if asked to stop.
        """
        target = (self.clock.wall() // self.interval + 1) * self.interval
        while True:
            missing = target - self.clock.wall()
            if missing <= 0 or missing > self.interval:  # there, or the clock was stepped back
                return not self._stopping
            if self._wake.wait(missing):
                self._wake.clear()
                return not self._stopping

    @staticmethod
    def _report(snapshot: Snapshot) -> None:
        """Say in the log who died, and what died with them."""
        for loss in snapshot.losses:
            tasks = ", ".join(f"{task.name}[{task.uuid}]" for task in loss.orphans[:_MAX_NAMED])
            log.warning(
                "worker %s %s (silent for %.0f s), unfinished tasks: %d%s",
                loss.hostname,
                "left" if loss.said_goodbye else "is lost",
                loss.silent_seconds,
                len(loss.orphans),
                f": {tasks}{', …' if len(loss.orphans) > _MAX_NAMED else ''}" if tasks else "",
            )


_MAX_NAMED = 20  # unfinished tasks a warning names
