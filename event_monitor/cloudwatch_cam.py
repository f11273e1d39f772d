"""CloudWatchCam: the way in through ``celery events -c event_monitor.CloudWatchCam``."""

from __future__ import annotations

from typing import Any

import click
from celery.events.state import State as CeleryState

from .camera import CELERY_DEFAULT_FREQ, Camera
from .errors import EventMonitorError
from .service import Service
from .settings import Settings, interval_of
from .snapshot import Snapshot

__all__ = ["CloudWatchCam"]


class CloudWatchCam(Camera):
    """A ``Camera`` that publishes to CloudWatch, wired as ``event-monitor run`` is.

    ``celery events`` makes the camera before the receiver, so it can put ours in: one that
    reconnects, reads the raw message, and stops in order on SIGTERM and Ctrl-C.
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
        try:
            if freq != CELERY_DEFAULT_FREQ:
                freq = interval_of(freq, where="-F")
            super().__init__(state, freq, maxrate, cleanup_freq, timer, app, settings=settings)
            self._service = Service(self.settings, self.app, camera=self)
        except EventMonitorError as error:
            if click.get_current_context(silent=True) is None:
                raise
            click.echo(f"event-monitor: {error}", err=True)
            raise SystemExit(error.exit_code) from None
        if click.get_current_context(silent=True) is not None:  # Celery just printed its own idea
            click.echo(f"-> event_monitor: one shot every {self.interval:g} s")
        self.app.events.receiver_cls = self._service.receiver_class()
        vars(self.app.events).pop("Receiver", None)  # cached if somebody asked for it before

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Publish the snapshot."""
        self._service.publish(snapshot)

    def install(self) -> None:
        """Start the publisher, then the shots."""
        self._service.open()
        super().install()

    def cancel(self) -> None:
        """Take the last shot and send what is left; exits with a code unless all is well."""
        self._service.shoot_last()
        code = self._service.close()
        if code:
            raise SystemExit(code)
