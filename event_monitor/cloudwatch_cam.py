"""CloudWatchCam: the way in through ``celery events -c event_monitor.CloudWatchCam``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from celery.bin.events import events as celery_events
from celery.events.snapshot import Polaroid
from celery.events.state import State as CeleryState
from click.core import ParameterSource

from .broker.configuration import require_configuration
from .camera import CELERY_DEFAULT_FREQ, has_own_shutter, shown_to
from .cli.logs import log_to_stderr, stay_audible
from .clock import SYSTEM_CLOCK
from .errors import EventMonitorError
from .process.ending import end_output
from .process.log_queue import LogQueue
from .process.memory import share_one_arena
from .receiver import Receiver
from .receiver.guard import Guard
from .service import Service
from .settings import Settings, conf_of, interval_of
from .snapshot import Live, Snapshot
from .state import State
from .text import error_line

__all__ = ["CloudWatchCam"]


class CloudWatchCam(Polaroid):  # type: ignore[misc]  # Celery ships no types
    """A camera that publishes to CloudWatch: ``event-monitor run``, as Celery's command wants it.

    ``celery events`` makes the camera before the receiver, so it can put ours in: one that
    reconnects, reads the raw message, and shuts down gracefully on SIGTERM and Ctrl-C. A subclass
    may override ``on_snapshot``, and ``on_shutter`` as in Celery's guide: they are called after the
    snapshot was published, and what they raise is logged.
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
    ) -> None:
        super().__init__(state, freq, maxrate, cleanup_freq, timer=timer, app=app)
        self._log_queue = LogQueue() if _under_celery_events() else None
        if self._log_queue is not None:
            _speak_up()
            share_one_arena()
            self._log_queue.open()
        with self._one_sentence():
            require_configuration(self.app)
            if freq != CELERY_DEFAULT_FREQ:
                freq = interval_of(freq, where="-F")
            self.settings = settings or Settings.load(conf=conf_of(self.app))
            self._service = Service(
                self.settings,
                self.app,
                state=state,
                is_state_read=self._log_queue is None or has_own_shutter(self),
                freq=freq,
                maxrate=maxrate,
                consumers=(self._consume,),
                log_queue=self._log_queue,
            )
        camera = self._service.camera
        self._made_with = state
        self._guard = Guard(SYSTEM_CLOCK)
        camera.cleanup_freq = cleanup_freq
        camera.on_cleanup = lambda: self._guard.call(self.on_cleanup)
        self.state: State = camera.state
        self.interval: float = camera.interval
        if self._log_queue is not None and self.interval != freq:
            # Celery has just printed the frequency that it passes if none is chosen.
            click.echo(
                f"-> event_monitor: rather every {self.interval:g} s (the setting `interval`)"
            )
        self.app.events.receiver_cls = self._receiver_class()
        vars(self.app.events).pop("Receiver", None)  # cached if somebody asked for it before

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Do something with a snapshot: for subclasses."""

    def install(self) -> None:
        """Start the publisher, then the shots."""
        with self._one_sentence():
            self._service.open()
        self._service.camera.install()

    def cancel(self) -> None:
        """Take the last shot and send what is left; exits with a code unless all is well."""
        self._service.shoot_last()
        code = self._service.close()
        self._end_output(code)
        if code:
            raise SystemExit(code)

    def capture(self) -> Snapshot | None:
        """Take a shot now; return None when ``maxrate`` forbids it."""
        return self._service.camera.capture()

    def peek(self) -> Live:
        """Return what is counted and running now; see ``Camera.peek``."""
        return self._service.camera.peek()

    def _receiver_class(self) -> type[Receiver]:
        """Return a receiver that ends with one sentence where the broker can never be used."""
        camera = self

        class CameraReceiver(self._service.pipeline.receiver_class()):  # type: ignore[misc]
            def capture(self, *arguments: Any, **options: Any) -> None:
                with camera._one_sentence():
                    super().capture(*arguments, **options)

        return CameraReceiver

    def _end_output(self, code: int) -> None:
        if self._log_queue is not None:
            end_output(self._log_queue, exit_code=code)

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """Under ``celery events``, end with the sentence and exit code of an error of ours."""
        try:
            yield
        except EventMonitorError as error:
            if self._log_queue is None:
                raise
            self._end_output(error.exit_code)
            click.echo(f"event-monitor: {error_line(error)}", err=True)
            raise SystemExit(error.exit_code) from None

    def _consume(self, snapshot: Snapshot) -> None:
        if has_own_shutter(self):
            self._guard.call(self._show)
        self._guard.call(self.on_snapshot, snapshot)

    def _show(self) -> None:
        """Show the state, which may be of the user's own making, too."""
        self._guard.call(self.on_shutter, shown_to(self, self._made_with))


def _speak_up() -> None:
    """Log from INFO on where nobody has chosen a level: Celery's default shows no good news.

    Who configures our logger, or says -l, is left alone.
    """
    context, ours = click.get_current_context(), logging.getLogger(__package__)
    is_chosen = context.get_parameter_source("loglevel") is not ParameterSource.DEFAULT
    if not (is_chosen or ours.handlers or ours.level):
        log_to_stderr("INFO")
    stay_audible()


def _under_celery_events() -> bool:
    """Return whether the process is ours, and not that of a program that uses this class."""
    context = click.get_current_context(silent=True)
    return context is not None and context.command is celery_events
