"""Service: the one place that wires everything, and knows in which order to start and stop it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

from .broker.control import send_own_event
from .camera import CELERY_DEFAULT_FREQ, Camera
from .clock import SYSTEM_CLOCK
from .errors import EXIT_CRASHED, EXIT_OK, EXIT_UNSENT, UnavailableError
from .events import Event
from .liveness import Liveness
from .metrics import Metric, metrics_from
from .probes.inspect import tasks_in_flight
from .probes.prober import Prober
from .probes.stalled import StalledWorkers
from .publisher import Publisher
from .publisher.spool import Spool
from .receiver import Receiver
from .receiver.checkpoint import Checkpoint
from .receiver.durability import Durability
from .receiver.transports import carries_events
from .settings import Settings
from .sinks import Sink
from .snapshot import AckToken, BrokerLink, Snapshot, WorkerState
from .state import State

__all__ = ["Service", "make_sink", "require_events"]

log = logging.getLogger(__name__)

_LEARN_SECONDS = 3.0  # how long the question to the workers waits for answers
_MOST_LEARNERS = 3  # at a time: one may hang for minutes on a connection that died silently
_REPEAT_WARNING_SECONDS = 3_600.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Service:
    """State, receiver, camera and publisher as one. ``run`` it, or ``open`` and ``close`` it.

    ``camera`` and receiver may be made by somebody else, as ``celery events`` does. Raises
    ``UnavailableError`` when it could never work.
    """

    def __init__(
        self,
        settings: Settings,
        app: Any,
        *,
        camera: Camera | None = None,
        sink: Sink | None = None,
    ) -> None:
        require_events(settings, app)
        self.settings = settings
        self.app = app
        self.clock = SYSTEM_CLOCK
        self.camera = camera or Camera(
            State(settings),
            freq=CELERY_DEFAULT_FREQ,
            app=app,
            settings=settings,
            on_snapshot=self.publish,
        )
        self.camera.on_crash = self.crashed
        self.state: State = self.camera.state
        self.receiver: Receiver | None = None
        spool = Spool(
            settings.state_dir,
            megabytes=settings.spool_megabytes,
            drop_interrupted=settings.on_ambiguous_send == "drop",
            clock=self.clock,
        )
        self.publisher = Publisher(
            sink or make_sink(settings), spool, clock=self.clock, on_crash=self.crashed
        )
        spool.open()  # after the sink, which may be refused: then the directory stays free
        self._durability: Durability | None = None
        if settings.durable_queue:
            checkpoint = Checkpoint.decode(spool.checkpoint())
            self.state.learn(checkpoint.in_flight)
            self._durability = Durability(settings, checkpoint)
        self._owed: AckToken | None = None  # counted, and not acknowledged for want of a disk
        self._surveyor = Prober(app, settings, online=lambda: self._online, clock=self.clock)
        self._stalled_workers = StalledWorkers(settings.worker_stalled_seconds)
        self._stalled: frozenset[str] = frozenset()
        self._online: tuple[str, ...] = ()  # nodenames, at the last shot
        self._liveness = Liveness(settings.state_dir, clock=self.clock)
        self._learners: list[threading.Thread] = []
        self._signals_before: dict[int, Any] = {}
        self._signal: signal.Signals | None = None
        self._stopping = False
        self._crash: BaseException | None = None
        self._warned_at: dict[str, float] = {}

    # -- life ----------------------------------------------------------------------------------

    def run(self) -> int:
        """Receive, shoot and publish until SIGTERM or SIGINT; returns the exit code."""
        receiver = self.receiver_class()(self.app.connection_for_read(), app=self.app)
        self.open()
        self.camera.install()
        try:
            receiver.capture()
        except Exception as error:
            log.exception("the receiver died")
            self.crashed(error)
        finally:
            self.shoot_last()
            code = self.close()
        return code

    def shoot_last(self) -> None:
        """Stop the camera with a last shot; a crash in it must not keep the rest from closing.

        Calling it again does nothing more.
        """
        if self._stopping:
            return
        self._stopping = True
        if self._signal is not None:
            log.info("stopping on %s", self._signal.name)
        try:
            Camera.cancel(self.camera)
        except Exception as error:
            log.exception("the last shot failed")
            self.crashed(error)

    def open(self) -> None:
        """Start the publisher, and take over the signals if this is the main thread."""
        _tune_garbage_collection()
        self.publisher.start()
        self._surveyor.start()
        self._liveness.beat(interval_seconds=self.camera.interval)
        if threading.current_thread() is threading.main_thread():
            self._signals_before = {one: signal.signal(one, self._on_signal) for one in _SIGNALS}

    def close(self) -> int:
        """Send what is left, within ``drain_seconds``; returns the exit code."""
        self._surveyor.close()
        unsent = self.publisher.close(deadline_seconds=self.settings.drain_seconds)
        for number, handler in self._signals_before.items():
            signal.signal(number, handler)
        self._signals_before = {}
        if self._crash is not None:
            return EXIT_CRASHED
        if unsent:
            kept = "kept in the spool" if self.settings.state_dir else "lost: no state_dir is set"
            log.error("stopped with %d metrics unsent; %s", unsent, kept)
            return EXIT_UNSENT
        log.info("stopped; everything is sent")
        return EXIT_OK

    def crashed(self, error: BaseException) -> None:
        """A thread of ours died: stop loudly rather than go on half alive."""
        self._crash = self._crash or error
        log.critical("stopping after a crash: %r", error)
        if self.receiver is not None:
            self.receiver.stop()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Stop in order at the first signal, at once at the second."""
        del frame
        if self._signal is not None:
            os._exit(EXIT_UNSENT)
        self._signal = signal.Signals(number)  # not logged here: a handler must not wait for a log
        if self.receiver is None:  # Celery's own receiver has no other way to be told
            raise SystemExit(EXIT_OK)
        self.receiver.stop()

    # -- in ------------------------------------------------------------------------------------

    def receiver_class(self) -> type[Receiver]:
        """A ``Receiver`` that feeds this service, whoever makes one."""
        service = self

        class ServiceReceiver(Receiver):
            on_events = staticmethod(service.on_events)
            on_invalid = staticmethod(service.state.refuse)
            on_connection = staticmethod(service.on_connection)
            on_stop = staticmethod(service.shoot_last)
            enable_events = service.settings.enable_events
            durable = service._durability and service._durability.terms

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                service.receiver = self
                service.state.await_broker()

        return ServiceReceiver

    def on_events(self, events: Sequence[Event], token: AckToken | None) -> None:
        """Count them; the first on a connection show that the broker lets us hear."""
        if events and self.state.link is BrokerLink.STANDBY:
            self._begin_to_listen()
        self.state.observe(events, token)
        if token is not None and self._durability is not None and self._durability.seen(token):
            self.camera.hurry()

    def on_connection(self, connected: bool) -> None:
        """The broker is there, or not. Reading a durable queue we may still have to wait."""
        if not connected:
            self.state.change_link(self.state.link.lost())
        elif self._durability is not None:
            self.state.change_link(BrokerLink.STANDBY)
            send_own_event(self.app, self.app.connection_for_write())
        else:
            self._begin_to_listen()

    def _begin_to_listen(self) -> None:
        """Listen from now on; what happened before, the workers know."""
        self.state.change_link(BrokerLink.LISTENING)
        self._learners = [one for one in self._learners if one.is_alive()]
        if len(self._learners) < _MOST_LEARNERS:
            learner = threading.Thread(target=self._learn, name="learner", daemon=True)
            self._learners.append(learner)
            learner.start()

    def _learn(self) -> None:
        try:
            tasks = tasks_in_flight(self.app, timeout=_LEARN_SECONDS)
        except Exception as error:  # noqa: BLE001  only names are missing then; say so and go on
            log.warning("could not ask the workers for the tasks they hold: %s", error)
            return
        self.state.learn(tasks)
        log.info("learnt %d tasks in flight from the workers", len(tasks))

    # -- out -----------------------------------------------------------------------------------

    def publish(self, snapshot: Snapshot) -> None:
        """Turn a snapshot into metrics and hand them to the publisher. Waits for no network."""
        self._warn_of_silent_workers(snapshot)
        if (
            self.state.link is BrokerLink.STANDBY
        ):  # it may have come, and no worker be there to show it
            send_own_event(self.app, self.app.connection_for_write())
        snapshot = replace(self._surveyed(snapshot), publisher=self.publisher.report())
        metrics = metrics_from(snapshot, self.settings)
        self._publish(snapshot, metrics)
        self._liveness.beat(interval_seconds=self.camera.interval)

    def _publish(self, snapshot: Snapshot, metrics: tuple[Metric, ...]) -> None:
        if snapshot.ack_tokens:
            self._owed = snapshot.ack_tokens[-1]
        if self._durability is None or self._owed is None:
            self.publisher.publish(metrics)
            return
        checkpoint = self._durability.checkpoint(snapshot)
        safe = self.publisher.publish(metrics, checkpoint=checkpoint)
        if safe and self.receiver is not None:  # else the broker keeps them for us
            self.receiver.acknowledge(self._owed)
            self._owed = None

    def _surveyed(self, snapshot: Snapshot) -> Snapshot:
        """What broker and workers last answered, with what the events have to say to it."""
        self._online = tuple(one.hostname for one in snapshot.online)
        snapshot = snapshot.with_survey(self._surveyor.survey())
        survey = snapshot.survey
        stalled = self._stalled_workers.judge(snapshot.workers, survey, now=self.clock.monotonic())
        for hostname in sorted(set(stalled or ()) - self._stalled):
            log.warning(
                "worker %s is stalled: it beats, but for %g s it has begun no task and runs none, "
                "while work waits in its queues; restart it",
                hostname,
                self.settings.worker_stalled_seconds,
            )
        self._stalled = frozenset(stalled or ())
        return replace(snapshot, survey=replace(survey, stalled=stalled))

    def _warn_of_silent_workers(self, snapshot: Snapshot) -> None:
        """Say loudly when workers work but send no task events: -E is the commonest mistake."""
        now = self.clock.monotonic()
        for worker in snapshot.workers:
            if worker.sends_task_events or worker.state is not WorkerState.ONLINE:
                continue
            warned_at = self._warned_at.get(worker.hostname)
            if warned_at is None or now - warned_at >= _REPEAT_WARNING_SECONDS:
                self._warned_at[worker.hostname] = now
                log.warning(
                    "worker %s runs tasks but sends NO TASK EVENTS, so they are not counted: start "
                    "it with -E, or set worker_send_task_events, or run this with --enable-events",
                    worker.hostname,
                )
        here = {worker.hostname for worker in snapshot.workers}
        self._warned_at = {name: at for name, at in self._warned_at.items() if name in here}


def require_events(settings: Settings, app: Any) -> None:
    """Raise ``UnavailableError`` where events could never be received."""
    connection = app.connection_for_read()
    if not carries_events(connection):
        raise UnavailableError(
            f"Celery sends no events over the {connection.transport_cls} transport; "
            "use Redis or RabbitMQ as the broker to count tasks."
        )
    if settings.durable_queue and connection.transport.driver_type != "amqp":
        raise UnavailableError(
            f"durable_queue needs RabbitMQ, and the broker is {connection.as_uri()}; "
            "leave it out: on other brokers events sent while nobody listens are gone."
        )
    if app.conf.event_serializer != "json":
        raise UnavailableError(
            f"event_serializer is {app.conf.event_serializer!r}; only json events are read."
        )


def make_sink(settings: Settings) -> Sink:
    """Return the sink the settings name; botocore is imported only if it is needed."""
    from .sinks.registry import make_sink as make

    return make(settings)


def _tune_garbage_collection() -> None:
    """Look for cycles less often: events make none, and a look every 700 objects costs a fifth.

    What was imported so far stays for good and need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
