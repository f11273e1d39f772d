"""Service: the composition root. Wires everything, starts and stops it in the right order."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from celery.events.state import State as CeleryState

from .broker.protocols import CeleryApp
from .broker.routing import route_of
from .camera import CELERY_DEFAULT_FREQ, Camera, Latest, SnapshotConsumer
from .clock import SYSTEM_CLOCK, Clock
from .errors import EXIT_CRASHED, EXIT_OK, EXIT_UNSENT, EventMonitorError, UnavailableError
from .leader import Leadership
from .liveness import Identity, Liveness, SignOfLife, address_of
from .notices import FirstFailures, Notices, WindowLog, log_found
from .over_sqs.configuration import EventQueue, event_queue_of
from .pipeline import Pipeline, require_events
from .process.log_queue import LogQueue
from .process.signals import Signals
from .process.state_dump import log_state, log_threads
from .publisher import Publisher, Spool
from .publisher.shared_batches import SharedBatches
from .publisher.snapshot_consumer import SnapshotPublisher
from .receiver.checkpoint import Checkpoint
from .settings import Settings
from .sinks import Sink
from .sinks.registry import make_sink
from .snapshot import BrokerLink, Role, Snapshot
from .state import State, TaskConsumer
from .state.ended import WeighSuccess
from .status.heard_workers import HeardWorkers
from .status.monitor_health import examine_sign
from .status.readable import why_nobody_answers

if TYPE_CHECKING:  # imported where they are asked for; the last needs an extra
    from .history import Recorder
    from .receiver.exactly_once import ExactlyOnce
    from .web import Web

__all__ = ["Service"]

log = logging.getLogger(__name__)

# A second: enough for the first of each kind to be seen soon, and no more than 2 % of a core.
_FAILURES_LOOKED_AT = 100


class Service:
    """One monitor: ``run`` it, or ``open`` and ``close`` it around somebody else's ``capture``.

    Making one opens nothing. Raises ``UnavailableError`` when it could never work. ``state``,
    ``freq`` and ``maxrate`` are what ``celery events`` hands to a camera; a state of Celery's stays
    empty unless ``is_state_read``. ``consumers`` get each complete snapshot after our own,
    ``task_consumers`` the tasks that ended. ``log_queue`` is named in a state dump; opening and
    closing it is left to whoever made it.

    All methods belong to the thread that receives, which is the main thread where signals are to
    be heeded; ``crashed`` may be called from any.
    """

    def __init__(
        self,
        settings: Settings,
        app: CeleryApp,
        *,
        state: CeleryState | None = None,
        is_state_read: bool = False,
        freq: float = CELERY_DEFAULT_FREQ,
        maxrate: str | None = None,
        consumers: Sequence[SnapshotConsumer] = (),
        task_consumers: Sequence[TaskConsumer] = (),
        sink: Sink | None = None,
        spool: Spool | None = None,
        log_queue: LogQueue | None = None,
        clock: Clock = SYSTEM_CLOCK,
        patience_seconds: float = 10.0,
    ) -> None:
        require_events(settings, app)
        self.settings = settings
        self._app = app
        self._clock = clock
        self._log_queue = log_queue
        if spool is None:  # an empty one counts as false
            spool = Spool(
                settings.state_dir,
                megabytes=settings.spool_megabytes,
                drop_interrupted=settings.on_ambiguous_send == "drop",
                clock=clock,
            )
        self._spool = spool
        sink = sink or make_sink(settings, clock=clock)
        self._window_log = WindowLog(
            interval_seconds=lambda: self.camera.interval,
            destination=lambda: getattr(sink, "destination", type(sink).__name__),
            clock=clock,
        )
        event_queue = event_queue_of(app)
        self._leadership = Leadership(
            settings,
            app,
            has_one_reader=bool(settings.durable_queue or event_queue),
            settle=lambda window: self._publisher.settle(window),
            wake=lambda: self._publisher.wake(),
            find_dead=self._find_dead,
            past=lambda: self.camera.state.past(),
            note_past=lambda past: self.camera.state.note_past(past),
            interval_seconds=lambda: self.camera.interval,
            is_connected=lambda: self.camera.state.link.is_connected,
            clock=clock,
        )
        windows = self._leadership.windows
        self._publisher = Publisher(
            sink,
            self._spool,
            clock=clock,
            on_crash=self.crashed,
            on_accepted=self._on_accepted,
            gate=windows,
            shared=SharedBatches(megabytes=settings.spool_megabytes),
            drop_doubtful=settings.on_ambiguous_send == "drop",
        )
        self._exactly_once = _exactly_once_for(settings, event_queue)
        has_checkpoints = self._exactly_once is not None and bool(settings.state_dir)
        # Without a disk the events are what is kept: in SQS, until CloudWatch has their counts.
        self._is_kept_in_queue = self._exactly_once is not None and not has_checkpoints
        identity = Identity(
            broker=address_of(app.connection_for_read()),
            namespace=settings.namespace,
            dimensions=settings.dimensions,
        )
        self._liveness = Liveness(settings.state_dir, identity=identity, clock=clock)
        self._heard_workers = (
            HeardWorkers(settings.state_dir, identity=identity, clock=clock)
            if event_queue and why_nobody_answers(app)  # else `status` asks them
            else None
        )
        self._shown_at = clock.monotonic()  # when the last sign of life was left
        self._latest = latest = Latest()
        self.history = _recorder(settings, clock) if settings.history else None
        self._web = self._make_web(identity.broker or "") if settings.http else None
        # What nobody would read costs nothing.
        self._first_failures = (
            FirstFailures(clock=clock) if log.isEnabledFor(logging.INFO) else None
        )
        if isinstance(state, State):
            own_state = state
        else:
            own_state = self._make_state(task_consumers)
            if state is not None:
                own_state.adopt(state, is_read=is_state_read)
        own_state.has_checkpoints = has_checkpoints
        self._snapshot_publisher = SnapshotPublisher(
            self._publisher,
            settings,
            checkpoint=self._exactly_once.checkpoint
            if self._exactly_once and has_checkpoints
            else None,
            acknowledge=lambda token: self.pipeline.acknowledge(token),
            is_ours=self._exactly_once.is_ours if self._exactly_once else None,
            discard=self._exactly_once.discard if self._exactly_once else None,
        )
        self.camera = Camera(
            own_state,
            freq,
            maxrate,
            app=app,
            settings=settings,
            clock=clock,
            state_dir=settings.state_dir,
            complete=self._complete,
            consumers=(
                latest,
                self._window_log,  # before its metrics are accepted
                self._snapshot_publisher,
                Notices(stalled_seconds=settings.worker_stalled_seconds, clock=clock),
                self._show_life,
                *([self._heard_workers] if self._heard_workers else []),
                *([self._first_failures.on_snapshot] if self._first_failures else []),
                *((self._web,) if self._web else ()),
                *([self.history.on_snapshot] if self.history else []),
                *consumers,
            ),
            on_crash=self.crashed,
            patience_seconds=patience_seconds,
            windows=windows,
        )
        self.pipeline = Pipeline(
            app,
            settings,
            own_state,
            hurry=self.camera.hurry,
            before_leaving=self._leave,
            on_first_answers=log_found,
            exactly_once=self._exactly_once,
            windows=windows,
            cut_at=self.camera.cut_at,
            clock=clock,
        )
        self._signals = Signals(stop=self.pipeline.stop, dump=self._dump_state)
        self._stopping = self._has_drained = False
        self._crash: BaseException | None = None

    def run(self) -> int:
        """Receive, shoot and publish until a signal says stop; return the exit code.

        Raises ``UnavailableError`` as ``open`` does, and ``SettingsError`` where the first attempt
        to connect shows that the broker can never be used as it is configured.
        """
        self.open()
        receiver = self.pipeline.receiver_class()(self._app.connection_for_read(), app=self._app)
        self.camera.install()
        try:
            receiver.capture()
        except EventMonitorError:  # a setting that shows only now that it can never work
            raise
        except Exception as error:
            log.exception("the receiver died")
            self.crashed(error)
        finally:
            self.shoot_last()
            code = self.close()
        return code

    def open(self) -> None:
        """Open the spool, start the threads, and take over the signals if this is the main thread.

        Raises ``UnavailableError`` when the spool cannot be had; nothing is left open then.
        """
        self._signals.install()
        try:
            self._spool.open()
            state_dir = Path(self.settings.state_dir)
            if self.settings.state_dir and not state_dir.is_absolute():
                log.info(
                    "state_dir is %s; commands in other directories need the whole path",
                    state_dir.absolute(),
                )
            if self._exactly_once is not None:
                checkpoint = Checkpoint.decode(self._spool.checkpoint())
                if self._spool.is_unread:
                    log.error(
                        "what was counted before cannot be read in state_dir: events that were not "
                        "acknowledged then count again"
                    )
                self.camera.state.learn(checkpoint.in_flight)
                self._exactly_once.restore(checkpoint)
            _tune_garbage_collection()
            if self.history is not None:
                self.history.open()
            self._publisher.start()
            self._leadership.open()
            self.pipeline.open()
        except BaseException:
            if self.history is not None:
                self.history.close()
            self._spool.close()
            self._signals.restore()
            raise
        self._show_life()
        if self._web is not None:
            self._web.open()

    def shoot_last(self) -> None:
        """Stop the camera with a last shot; a crash in it must not keep the rest from closing.

        Calling it again does nothing more.
        """
        if self._stopping:
            return
        self._stopping = True
        if self._signals.stopped_by is not None:
            log.info("stopping on %s", self._signals.stopped_by.name)
        try:
            self.camera.cancel()
        except Exception as error:
            log.exception("the last shot failed")
            self.crashed(error)

    def _leave(self) -> None:
        """Take the last shot; send it before its messages are let go, where no disk has it."""
        self.shoot_last()
        if self._is_kept_in_queue or self._snapshot_publisher.comes_again:
            self._publisher.close(deadline_seconds=self.settings.drain_seconds)
            self._has_drained = True

    def _on_accepted(self, accepted: int, left: int) -> None:
        self._window_log.on_accepted(accepted, left)
        self._snapshot_publisher.note_accepted()

    def close(self) -> int:
        """Send what is left, within ``drain_seconds``; return the exit code."""
        if self._web is not None:
            self._web.close()
        self.pipeline.close()
        if self.history is not None:
            self.history.close()
        drain_seconds = 0.0 if self._has_drained else self.settings.drain_seconds
        unsent = self._publisher.close(deadline_seconds=drain_seconds)
        inherited, lost = self._publisher.inherited, self._publisher.lost
        self._leadership.close()
        self._window_log.close(unsent=unsent)
        if self._crash is None:  # what a crash has left says when it was
            self._liveness.close()
        self._signals.restore()
        if self._snapshot_publisher.comes_again:
            log.error(
                "what was counted last is not safe in the spool: its events come again, and what "
                "of it was sent may count twice"
            )
        if sent_again := self._spool.sent_again:
            log.error(
                "%d metrics that were sent could not be deleted from the spool, as its disk fails; "
                "the next process sends them again",
                sent_again,
            )
        if self._spool.is_unread:
            log.error("what the spool may hold from before could not be read; it is still there")
        if unsent:
            log.error("stopped with %d metrics unsent; %s", unsent, self._fate(self._spool.unsafe))
        elif lost and self._crash is None:
            log.error("stopped; %d metrics are lost: the output did not take them", lost)
        elif inherited and self._crash is None:
            log.info("stopped; %d metrics are left to another monitor, which has them", inherited)
        elif self._spool.is_unread:
            log.info("stopped; everything is sent that is known of")
        elif self._crash is None:  # else a shot may be missing
            log.info("stopped; everything is sent")
        if self._crash is not None:
            return EXIT_CRASHED
        return EXIT_UNSENT if unsent or lost else EXIT_OK

    def _fate(self, lost: int) -> str:
        """Return what becomes of the metrics that are unsent at the end."""
        if self._is_kept_in_queue:
            return "their events come again"
        if not self.settings.state_dir:
            return "lost: no state_dir is set"
        if not lost:
            return "kept in the spool"
        if self._exactly_once is not None:
            return f"{lost} of them are not in the spool: their events come again"
        return f"{lost} of them are lost: the spool did not take them"

    def crashed(self, error: BaseException) -> None:
        """Stop loudly: a thread of ours died, and half alive is worse than dead."""
        self._crash = self._crash or error
        log.critical("stopping after a crash: %r", error)
        if not self.pipeline.stop():
            os.kill(os.getpid(), signal.SIGTERM)

    def _dump_state(self) -> None:
        """Log what every thread does, then what waits. The first takes no lock."""
        log_threads()
        snapshot = self._latest.snapshot
        log_state(
            link=self.camera.state.link,
            last_shot_at=snapshot.window.closed_at if snapshot else None,
            last_accepted_at=self._publisher.activity().accepted_at,
            tasks_in_flight=snapshot.tasks_in_flight if snapshot else None,
            metrics_unsent=len(self._spool),
            log_lines_waiting=0 if self._log_queue is None else len(self._log_queue),
            now=self._clock.wall(),
        )

    def _make_state(self, task_consumers: Sequence[TaskConsumer]) -> State:
        """Return a state that feeds the history and the log, as far as there is one.

        Without other consumers, values are made only of those tasks that these want.
        """
        history, consumers = self.history, tuple(task_consumers)
        weigh: WeighSuccess | None = None
        failures_per_second: int | None = None
        if history is not None and consumers:
            consumers = (history.on_all_tasks, *consumers)
        elif history is not None:
            consumers, weigh = (history.on_tasks,), history.weigh
        if self._first_failures is not None:
            failures_per_second = None if consumers else _FAILURES_LOOKED_AT
            consumers = (*consumers, self._first_failures.on_tasks)
        if self._web is not None and consumers:  # it takes what is made for others
            consumers = (*consumers, self._web.on_tasks)
        return State(
            self.settings,
            clock=self._clock,
            task_consumers=consumers,
            weigh=weigh,
            failures_per_second=failures_per_second,
            route=route_of(self._app),
        )

    def _complete(self, snapshot: Snapshot) -> Snapshot:
        return replace(
            self.pipeline.complete(snapshot),
            publisher=self._publisher.report(),
            role=self._leadership.leader.role,
            standbys=self._leadership.standbys,
            second=self._leadership.second,
        )

    def _find_dead(
        self, *, with_past: bool
    ) -> tuple[tuple[str, int | None, float, float, str, bool], ...]:
        return self.camera.state.find_dead(with_past=with_past)

    def _make_web(self, broker: str) -> Web:
        """Return the server; ``UnavailableError`` without what it is built on."""
        try:
            from .web import Web
        except ModuleNotFoundError as error:
            missing = str(error.name).partition(".")[0]
            raise UnavailableError(
                f"http is set, and {missing} is not installed; "
                "install it with pip install 'celery-event-monitor[web]'."
            ) from None
        return Web(
            self.settings,
            peek=lambda: self.camera.peek(),
            glance=lambda: self.camera.peek(with_times=False),
            problem=self._problem,
            accepted_at=lambda: self._publisher.activity().accepted_at,
            role=self._role,
            second=lambda: self._leadership.second,
            history=self.history.reader if self.history else None,
            broker=broker,
            default_queue=self._app.conf.task_default_queue,
            clock=self._clock,
        )

    def _problem(self) -> str | None:
        """Return what a health check would say is wrong; None if nothing is. Any thread may ask."""
        publisher, now = self._publisher.activity(), self._clock.wall()
        accepted_at = publisher.accepted_at
        return examine_sign(
            SignOfLife(
                age_seconds=self._clock.monotonic() - self._shown_at,
                interval_seconds=self.camera.interval,
                sending_seconds=publisher.sending_seconds,
                deadline_seconds=publisher.deadline_seconds,
                accepted_seconds=None if accepted_at is None else now - accepted_at,
                running_seconds=now - publisher.started_at,
                role=self._role().value,
            )
        )

    def _role(self) -> Role:
        """Return what we are among several; any thread may ask.

        Who only waits until it may read the queue of events publishes nothing, either.
        """
        is_waiting = self.camera.state.link is BrokerLink.STANDBY
        return Role.STANDBY if is_waiting else self._leadership.leader.role

    def _show_life(self, _snapshot: Snapshot | None = None) -> None:
        self._shown_at = self._clock.monotonic()
        self._liveness.beat(
            interval_seconds=self.camera.interval,
            publisher=self._publisher.activity(),
            role=self._role().value,
            second=self._leadership.second,
        )


def _recorder(settings: Settings, clock: Clock) -> Recorder:
    from .history import Recorder  # a megabyte of memory, for those only who want one

    return Recorder(settings, clock=clock)


def _tune_garbage_collection() -> None:
    """Look for cycles less often: events make none, and a look every 700 objects costs a fifth.

    What was imported so far stays for good and need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _exactly_once_for(settings: Settings, event_queue: EventQueue | None) -> ExactlyOnce | None:
    """Return what a queue that outlives us demands; None where events come from none."""
    if not settings.durable_queue and event_queue is None:
        return None
    from .receiver.exactly_once import ExactlyOnce  # with the readers of both kinds of queue

    return ExactlyOnce(settings, event_queue)
