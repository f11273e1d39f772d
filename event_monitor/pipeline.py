"""Pipeline: receiver, state and prober of one broker. Several could stand side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from celery.events.state import State as CeleryState

from .broker.capabilities import carries_events
from .broker.connections import shown
from .broker.own_events import BlockedError, send_own_event
from .broker.protocols import CeleryApp
from .clock import SYSTEM_CLOCK, Clock
from .errors import InvalidEvent, SettingsError, UnavailableError
from .events import DetailedTaskEvent, Event, OwnEvent, RelatedTaskEvent, TaskEvent
from .leader import Windows
from .over_sqs.configuration import event_queue_of
from .probes.books import Books
from .probes.inspect import tasks_in_flight
from .probes.join import join_survey
from .probes.learner import Learner
from .probes.prober import OnFirst, Prober
from .probes.queues import queue_names
from .probes.stalled import StalledWorkers
from .receiver import Receiver
from .receiver.first_heartbeats import FirstHeartbeats
from .settings import Settings
from .snapshot import AckToken, BrokerLink, Snapshot, TaskInFlight
from .state import State
from .survey import QueueDepth, WorkerAnswer
from .text import one_line

if TYPE_CHECKING:
    from .receiver.exactly_once import ExactlyOnce

__all__ = ["Pipeline", "require_events"]

log = logging.getLogger(__name__)

_LEARN_SECONDS = 3.0  # how long the question to the workers waits for answers
_NAMES_SECONDS = _LEARN_SECONDS + 2.0  # connecting included: what is not named by then never is
_COMES_BACK_SECONDS = 1.0  # within which our own event comes, if the durable queue is ours
_PATIENCE_SECONDS = 1.0  # how long the second answer waits for the first


class Pipeline:
    """What comes from one broker: events into ``state``, answers into each snapshot.

    ``exactly_once`` is for a queue that outlives us. ``hurry`` asks for a shot ahead of time, and
    ``before_leaving`` is called while still connected, on a graceful shutdown; both are called in
    the receiving thread, as ``on_events``, ``on_invalid`` and ``on_connection`` are;
    ``windows`` says where they end for several monitors, and ``cut_at`` ends one there;
    ``on_first_answers`` gets what broker and workers answer first, in a thread. ``complete``
    belongs to the thread that takes the shot. ``stop`` is safe in a signal handler.
    """

    def __init__(
        self,
        app: CeleryApp,
        settings: Settings,
        state: State,
        *,
        hurry: Callable[[], None],
        before_leaving: Callable[[], None],
        on_first_answers: OnFirst | None = None,
        exactly_once: ExactlyOnce | None = None,
        windows: Windows | None = None,
        cut_at: Callable[[str], None] = lambda _event_id: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.state = state
        self._windows = windows
        self._cut_at = cut_at
        self.receiver: Receiver | None = None
        self._app = app
        self._settings = settings
        self._exactly_once = exactly_once
        event_queue = event_queue_of(app)
        self._is_over_sqs = event_queue is not None
        self._first_heartbeats = None if event_queue is None else FirstHeartbeats(event_queue)
        self._hurry = hurry
        self._before_leaving = before_leaving
        self._on_first_answers = on_first_answers
        self._clock = clock
        self._online: tuple[str, ...] = ()  # at the last shot; replaced, never changed
        self._told: tuple[WorkerAnswer, ...] = ()  # what workers said unasked; the same
        self._prober = Prober(
            app,
            settings,
            online=lambda: self._online,
            told=lambda: self._told,
            has_connected=lambda: state.link is not BrokerLink.CONNECTING,
            sent=state,
            on_first=self._note_first_answers,
            clock=clock,
        )
        self._stalled = StalledWorkers(settings.worker_stalled_seconds)
        self._books = Books(state, settings)
        ask = partial(tasks_in_flight, app, timeout=_LEARN_SECONDS, clock=clock)
        self._learner = Learner(self._learn, ask=ask)
        self._namer = Learner(self._learn_names, ask=ask, is_logged=False)
        self._has_names = threading.Event()
        self._doubtful_losses: tuple[tuple[str, int], ...] = ()  # events, by worker
        self._own_sent_at: float | None = None  # when the broker took an event of our own
        self._own_trouble: str | None = None  # why it did not, if so

    def open(self) -> None:
        """Begin to ask broker and workers.

        They are asked for their tasks now and once more when we listen: the one that ends between
        the two, before it can be asked for again, has its name from now.
        """
        self.state.await_broker()  # a prober that fails before is not the first to say so
        self._prober.start()
        self._namer.start()

    def stop(self) -> bool:
        """Let the receiver's ``capture`` return soon; return False if there is no receiver yet."""
        if self.receiver is None:
            return False
        self.receiver.stop()
        return True

    def close(self) -> None:
        """Ask no more."""
        self._prober.close()

    def acknowledge(self, token: AckToken) -> bool:
        """Acknowledge these messages at the next read; return False if there is no receiver yet."""
        if self.receiver is None:
            return False
        self.receiver.acknowledge(token)
        return True

    # -- in ------------------------------------------------------------------------------------

    def receiver_class(self) -> type[Receiver]:
        """Return a ``Receiver`` that feeds this pipeline, whoever makes one."""
        pipeline = self

        class PipelineReceiver(Receiver):
            """The receiver of one pipeline; handlers of the user's own are called as well."""

            on_events = staticmethod(pipeline.on_events)
            on_invalid = staticmethod(pipeline.on_invalid)
            on_connection = staticmethod(pipeline.on_connection)
            on_leading = staticmethod(pipeline.on_leading)
            on_reading = staticmethod(
                pipeline.state.note_reading
                if pipeline._exactly_once is None or pipeline._is_over_sqs
                else pipeline._on_reading_durably
            )
            on_blocked = staticmethod(pipeline.on_blocked)
            on_stop = staticmethod(pipeline._leave)
            on_own = None if pipeline._windows is None else staticmethod(pipeline.on_own)
            may_leave = (
                None if pipeline._windows is None else staticmethod(pipeline._windows.may_leave)
            )
            enable_events = pipeline._settings.enable_events
            task_event = _task_event(pipeline._settings)
            time_source = pipeline._clock

            def __init__(
                self,
                channel: Any = None,
                handlers: Mapping[str, Callable[[Any], None]] | None = None,
                **options: Any,
            ) -> None:
                fed = State if pipeline.state.feeds_celerys else CeleryState
                super().__init__(channel, _without_state(handlers, fed), **options)
                if pipeline._exactly_once is not None:
                    self.durable = pipeline._exactly_once.queue
                    self.sqs = pipeline._exactly_once.sqs
                pipeline.receiver = self
                pipeline.state.await_broker()

        return PipelineReceiver

    def on_events(self, events: Sequence[Event], token: AckToken | None) -> None:
        """Count them; the first on a durable queue prove that it is ours to read."""
        if events and self.state.link.awaits_queue:
            self._begin_to_listen()
        self.state.observe(events, token)
        exactly_once = self._exactly_once
        if token is not None and exactly_once is not None and exactly_once.should_hurry(token):
            self._hurry()

    def on_own(self, event: OwnEvent) -> None:
        """End the window here, if it is where all monitors end it."""
        if self._windows is not None and self._windows.on_own(event):
            self._end_window(event.window)

    def _end_window(self, event_id: str) -> None:
        self.state.stop_awaiting_names()  # what waits for them came before
        self._cut_at(event_id)

    def on_invalid(self, error: InvalidEvent) -> None:
        """Count what arrived and was no event."""
        self.state.refuse(error)

    def on_connection(self, connected: bool) -> None:
        """Note that the broker is there, or not. A durable queue may be another monitor's still."""
        if self._windows is not None and self._windows.on_connection(connected):
            self._end_window("")
        if not connected:
            self.state.change_link(self.state.link.lost())
        elif self._is_over_sqs:
            self.state.change_link(BrokerLink.SUBSCRIBED)
        elif self._exactly_once is not None:
            self.state.change_link(BrokerLink.SUBSCRIBED)
            self._own_sent_at = None
            self._send_own_event()
        else:
            self._begin_to_listen()

    def on_leading(self, is_leading: bool) -> None:
        """Note whether the event queue is ours to read; without SQS nobody tells."""
        if self._first_heartbeats is None:
            return
        if not is_leading:
            self._first_heartbeats.lose()
            self.state.change_link(BrokerLink.STANDBY)
        elif self.state.link.awaits_queue:
            self._first_heartbeats.begin(self._clock.monotonic())
            self._begin_to_listen()

    def _on_reading_durably(self) -> None:
        """Note that the receiver runs, and when an event of our own should have come and has not.

        While the broker takes none, as when its memory is short, nobody knows whose the queue is.
        """
        self.state.note_reading()
        sent_at = self._own_sent_at
        if (
            self.state.link is BrokerLink.SUBSCRIBED
            and sent_at is not None
            and self._clock.monotonic() - sent_at >= _COMES_BACK_SECONDS
        ):
            self.state.change_link(BrokerLink.STANDBY)

    def on_blocked(self, is_blocked: bool) -> None:
        """Note that nothing can come, as when the broker takes messages from nobody; or again."""
        self.state.note_blocked(is_blocked)

    def _begin_to_listen(self) -> None:
        """Listen from now on; what happened before, the workers know."""
        self.state.change_link(BrokerLink.LISTENING)
        if self._exactly_once is None:  # else what waits would be acknowledged, not counted yet
            self.state.await_names(_NAMES_SECONDS)
        self._learner.start()

    def _learn_names(self, tasks: Sequence[TaskInFlight]) -> None:
        self.state.learn_names(tasks)
        self._has_names.set()

    def _learn(self, tasks: Sequence[TaskInFlight]) -> None:
        self._has_names.wait(_PATIENCE_SECONDS)  # events wait for both, and no longer for either
        self.state.learn(tasks)

    def _leave(self) -> None:
        """Count what still waits for a name, so that it is in the last shot."""
        self.state.stop_awaiting_names()
        self._before_leaving()

    def _send_own_event(self) -> None:
        """Make sure that something comes once the queue is ours, though no worker may be there."""
        send_own_event(self._app).add_done_callback(self._note_own_event)

    def _note_own_event(self, sent: Future[None]) -> None:
        """Remember that the broker took it, or say once why not; in the thread that sent it."""
        error = sent.exception()
        if error is None:
            self._own_trouble = None
            self._own_sent_at = self._own_sent_at or self._clock.monotonic()
            return
        trouble = one_line(error)
        if isinstance(error, BlockedError):
            trouble = f"it takes messages from nobody: {trouble}"
        if trouble != self._own_trouble:
            self._own_trouble = trouble
            log.warning("the broker does not take an event to myself: %s", trouble)

    def _note_first_answers(
        self, workers: Sequence[WorkerAnswer] | None, queues: Sequence[QueueDepth] | None
    ) -> None:
        """Tell of what was found; where a monitor is limited, whose the workers are."""
        only = self._settings.only
        if only and workers is not None:
            self.state.note_answers(workers, age_seconds=0.0)  # sooner than at the first shot
            workers = tuple(w for w in workers if only.has_worker(w.hostname, w.queues))
        if self._on_first_answers is not None:
            self._on_first_answers(workers, queues)

    # -- out -----------------------------------------------------------------------------------

    def _judge_lost_events(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot without the lost events that another reader of the queue has.

        Those were told of. While it is to be seen who has them they wait for a later snapshot, or
        for the last one.
        """
        receiver = self.receiver
        lost = _added(self._doubtful_losses, snapshot.window.events_lost)
        is_shared = receiver.is_shared if receiver is not None else False
        if is_shared is None and receiver is not None and receiver.should_stop:
            is_shared = False
        self._doubtful_losses = lost if is_shared is None else ()
        told = lost if is_shared is False else ()
        return replace(snapshot, window=replace(snapshot.window, events_lost=told))

    def complete(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with what broker and workers last answered."""
        if self.state.link.awaits_queue and not self._is_over_sqs:
            self._send_own_event()
        if self._is_over_sqs:
            snapshot = self._judge_lost_events(_with_messages(snapshot))
        survey = self._prober.survey()
        if self._first_heartbeats is not None:
            have_come = self._first_heartbeats.have_come(
                self._clock.monotonic(),
                is_evidence=snapshot.listening_seconds is not None,
                were_asked=survey.workers is not None,
            )
            snapshot = replace(snapshot, has_heard_all=have_come)
        if survey.workers is not None and survey.workers_age_seconds is not None:
            self.state.note_answers(survey.workers, age_seconds=survey.workers_age_seconds)
        self._online = tuple(worker.hostname for worker in snapshot.online)
        self._told = tuple(w.answer for w in snapshot.online if w.answer is not None)
        snapshot = join_survey(snapshot, survey)
        now = self._clock.monotonic()
        stalled = self._stalled.judge(snapshot.workers, snapshot.survey, now=now)
        waiting = None if self.receiver is None else self.receiver.queue_length
        return replace(
            snapshot,
            survey=replace(snapshot.survey, stalled=stalled, event_queue_length=waiting),
            missing=self._books.judge(snapshot, survey.queues, now=now),
        )


def _with_messages(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with what its messages tell of themselves, and say so.

    That is the events that their senders dropped, and what may have been counted before.
    """
    dropped = sum(token.dropped for token in snapshot.ack_tokens)
    if dropped:
        log.warning("%d events were never sent: their senders could not reach SQS", dropped)
    doubtful = sum(token.doubtful for token in snapshot.ack_tokens)
    if doubtful:
        log.warning(
            "%d messages of the event queue were with a monitor that has gone; what it had counted "
            "of them, but not deleted, counts twice",
            doubtful,
        )
    window = replace(snapshot.window, events_dropped=dropped, messages_doubtful=doubtful)
    return replace(snapshot, window=window)


def _added(*losses: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Return the sum of lost events, by worker."""
    sums: dict[str, int] = {}
    for worker, events in chain(*losses):
        sums[worker] = sums.get(worker, 0) + events
    return tuple(sums.items())


def _task_event(settings: Settings) -> type[TaskEvent]:
    """Return what events of tasks are decoded to: no more of them than is asked for."""
    if settings.decodes_details:
        return DetailedTaskEvent
    return RelatedTaskEvent if settings.history else TaskEvent


def _without_state(
    handlers: Mapping[str, Callable[[Any], None]] | None, fed: type[CeleryState]
) -> dict[str, Callable[[Any], None]]:
    """Leave out the handler that feeds such a state: ours is fed by ``on_events``."""
    return {
        type_: handler
        for type_, handler in (handlers or {}).items()
        if not isinstance(getattr(handler, "__self__", None), fed)
    }


def require_events(settings: Settings, app: CeleryApp) -> None:
    """Raise ``UnavailableError`` where events could never be received. Connects to nothing."""
    connection = app.connection_for_read()
    event_queue = event_queue_of(app)
    if event_queue is None and not carries_events(connection):
        raise UnavailableError(
            f"Celery sends no events over the {connection.transport_cls} transport; "
            "send_events_over_sqs(app) sends them over SQS (a monitor without the app needs "
            "--event-queue then), or use Redis or RabbitMQ as the broker."
        )
    if event_queue is not None and settings.durable_queue:
        raise UnavailableError(
            "durable_queue is for events on RabbitMQ, and those of this app go over SQS "
            "(send_events_over_sqs), which keeps them anyway; leave it out."
        )
    if event_queue is not None and event_queue.name in queue_names(app, settings):
        raise SettingsError(
            f"the event queue of send_events_over_sqs is {event_queue.name!r}, which is a queue of "
            "tasks: its messages would be taken for events and be gone. Give it a name of its own."
        )
    if settings.durable_queue and connection.transport.driver_type != "amqp":
        raise UnavailableError(
            f"durable_queue needs RabbitMQ, and the broker is {shown(connection)}; "
            "leave it out: on other brokers events sent while nobody listens are gone."
        )
    if settings.durable_queue in queue_names(app, settings):
        raise SettingsError(
            f"durable_queue is {settings.durable_queue!r}, which is a queue of tasks: its messages "
            "would be taken for events and be gone. Give it a name of its own."
        )
    if app.conf.event_serializer != "json":
        raise UnavailableError(
            f"event_serializer is {app.conf.event_serializer!r}; only json events are read."
        )
