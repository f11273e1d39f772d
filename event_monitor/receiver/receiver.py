"""Receiver: broker in, typed events out. Connects, decodes, reconnects for ever."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.app import app_or_default
from celery.events.receiver import EventReceiver
from kombu import Connection

from .. import events as ev
from ..broker.connections import shown
from ..broker.control import broadcast
from ..broker.own_events import is_own_event, send_own_event
from ..broker.refusals import remedy_for
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent, SettingsError
from ..snapshot import AckToken
from ..text import one_line
from .echo import Echo
from .guard import Guard
from .subscription import Reading, Subscription
from .transports import subscription_to

if TYPE_CHECKING:
    from .durable import DurableQueue
    from .sqs import SqsSource

__all__ = ["Receiver"]

log = logging.getLogger(__name__)

_READ_SECONDS = 0.5  # longest a quiet broker keeps us from noticing that we should stop
_STOP_SECONDS = 1.0  # how long a stop goes on reading what has already arrived
_BROADCAST_SECONDS = 2.0  # between two commands to all workers, however many of them come up
_REPEAT_REFUSAL_SECONDS = 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts to connect
_BLOCKED = "the broker takes messages from nobody: its disk or memory is short"
_BEHIND = ""  # nothing to tell: it comes soon
_FULL = (
    "nothing more comes from the queue of events: no more may be unacknowledged, and what was "
    "counted cannot be made safe, in state_dir or at CloudWatch"
)


class Receiver(EventReceiver):  # type: ignore[misc]  # Celery ships no types
    """Celery's event receiver on the raw message: nothing is decoded that is not counted.

    ``on_events`` gets the events of one read, in order, with the ack token of their messages if
    they must be acknowledged; ``on_invalid`` what was not an event; ``on_connection`` whether the
    broker is connected, and ``on_leading`` then whether it is for us to read. The ``handlers`` of
    Celery's receiver are called after ``on_events``, each with one event that is not our own, as a
    dictionary of all its fields: only what they are for is decoded whole. What a handler raises is
    logged. Making a receiver connects to nothing.

    ``capture`` and ``consume`` belong to one thread, in which all of these are called; ``stop`` and
    ``acknowledge`` may be called from any.
    """

    app: Any = None  # Celery's ``app.events.Receiver`` sets it on the class
    on_events: Callable[[Sequence[ev.Event], AckToken | None], None] | None = None
    on_invalid: Callable[[InvalidEvent], None] | None = None
    on_connection: Callable[[bool], None] | None = None
    on_leading: Callable[[bool], None] | None = None
    on_reading: Callable[[], None] | None = None  # before each read, at least twice a second
    on_blocked: Callable[[bool], None] | None = None  # nothing can come
    on_stop: Callable[[], None] | None = None  # on a graceful shutdown, while still connected
    on_own: Callable[[ev.OwnEvent], None] | None = None  # after those before it, in the stream
    may_leave: Callable[[], bool] | None = None  # whether all has come that we stay for, at the end
    enable_events = False  # turn task events on in workers that were started without -E
    task_event = ev.TaskEvent  # what events of tasks are decoded to: some have more than others
    durable: DurableQueue | None = None  # a queue that outlives us, if there is to be one
    sqs: SqsSource | None = None  # the queue that events are in, if they are in SQS
    echo_seconds = 10.0  # of silence, after which an event of our own has to come back
    time_source: Clock = SYSTEM_CLOCK  # `clock` is Celery's logical one

    def __init__(
        self,
        channel: Any = None,
        handlers: Mapping[str, Callable[[Any], None]] | None = None,
        *,
        app: Any = None,
        **options: Any,
    ) -> None:
        self.app = app_or_default(app or self.app)
        if channel is not None and not isinstance(channel, Connection):
            channel = channel.connection.client
        self._source: Connection = channel or self.app.connection_for_read()
        super().__init__(None, handlers=handlers, app=self.app, **options)
        self._stop_by: float | None = None
        self._blocked_by: str | None = None  # why nothing can come, if so
        self._shown_broker = ""  # as it may be printed, once it is connected
        self._is_leading: bool | None = None  # None: not connected
        self._settled: deque[AckToken] = deque(maxlen=1)  # the latest that may be acknowledged
        self._broadcast_at = 0.0
        self._has_connected = False
        self._enable_later = False  # a worker has come that may not send task events
        self._queue_length: int | None = None
        self._is_shared: bool | None = False
        self._guard = Guard(self.time_source)
        self._refused = "", 0.0  # why, and when that was logged, by our monotonic clock

    @property
    def connection(self) -> Connection:
        """Return the connection after which this receiver makes its own; never opened itself."""
        return self._source

    @property
    def queue_length(self) -> int | None:
        """Return how many messages wait for us in our own queue; None where that is not known.

        RabbitMQ says it, while it is connected, every few seconds. Safe in any thread.
        """
        return self._queue_length

    @property
    def is_shared(self) -> bool | None:
        """Whether somebody else takes a part of our events, so that what we miss is not lost.

        None while some are missing, and it is not known yet.
        """
        return self._is_shared

    def stop(self) -> None:
        """Let ``capture`` return soon. Safe from a signal handler: takes no lock."""
        self._stop_by = self.time_source.monotonic() + _STOP_SECONDS
        self.should_stop = True

    def acknowledge(self, token: AckToken) -> None:
        """Acknowledge these messages, which are safe now, at the next read."""
        self._settled.append(token)

    def consume(
        self, limit: int | None = None, timeout: float | None = None, wakeup: bool = True
    ) -> Iterator[None]:
        """Receive until stopped, however often the broker goes away; yield after every read.

        ``limit``: return after so many reads. ``timeout``: raise ``TimeoutError`` after so many
        seconds without one. ``wakeup``: ask all workers for a heartbeat after connecting.
        """
        reads = failures = 0
        echo = Echo(
            partial(send_own_event, self.app),
            quiet_seconds=self.echo_seconds,
            clock=self.time_source,
        )
        while not self.should_stop:
            try:
                subscription = subscription_to(
                    self._source,
                    queue=self.queue,
                    on_invalid=self._invalid,
                    durable=self.durable,
                    sqs=self.sqs,
                    clock=self.time_source,
                )
            except OSError as error:  # nothing was opened yet: a lack of descriptors
                if not self._has_connected:
                    raise
                self._lost_broker(error, failures, shown(self._source))
                failures += 1
                continue
            # A lack of descriptors, too, may be over soon.
            gone: tuple[type[BaseException], ...] = (*subscription.gone, OSError)
            try:
                self._subscribe(subscription, wakeup=wakeup)
                echo.begin(awaits_first=self.durable is not None)
                failures = 0
                received_at, quiet = self.time_source.monotonic(), False
                while not self._has_stopped():
                    own_at: list[int] = []
                    received, reading = self._read(subscription, echo, own_at)
                    if received or reading.ack_token:
                        self._hand_over(received, reading, own_at)
                        received_at = self.time_source.monotonic()
                        reads += 1
                        yield
                        if limit is not None and reads >= limit:
                            return
                    elif self.should_stop and self._may_leave():
                        break
                    elif (
                        timeout is not None
                        and self.time_source.monotonic() - received_at >= timeout
                    ):
                        quiet = True
                        break
                if not quiet:
                    self._leave(subscription)
            except gone as error:
                self._lost_broker(error, failures, subscription.shown)
                failures += 1
                continue
            finally:
                self._queue_length = None
                subscription.close()
            if quiet:
                raise TimeoutError(f"no event for {timeout} s")

    def _subscribe(self, subscription: Subscription, *, wakeup: bool) -> None:
        try:
            subscription.open()
        except SettingsError:
            raise
        except subscription.gone:
            raise
        except Exception as error:
            if self._has_connected:
                raise _unexpected(error) from error
            # An option that kombu or the driver does not take, before anything was sent.
            raise SettingsError(
                f"the broker {shown(subscription.connection)} can never be used as it is "
                f"configured: {one_line(error)}; look at broker_transport_options and the like."
            ) from error
        self._has_connected = True
        self._shown_broker = subscription.shown
        log.info("receiving events from %s", self._shown_broker)
        if self.on_connection is not None:
            self.on_connection(True)
        self._is_leading = None
        commands = [*(["heartbeat"] * wakeup), *(["enable_events"] * self.enable_events)]
        if commands:  # a heartbeat from everybody, so that the roster is complete at once
            broadcast(self.app, self._source, *commands)

    def _read(
        self, subscription: Subscription, echo: Echo, own_at: list[int]
    ) -> tuple[list[ev.Event], Reading]:
        """Acknowledge what is settled, then read once; return the events and what they came in.

        ``own_at`` gets the places of our own among them.
        """
        if self._settled:
            subscription.acknowledge(self._settled.pop())
        if self.on_reading is not None:
            self.on_reading()
        try:
            reading = subscription.read(_READ_SECONDS)
        except subscription.gone:
            raise
        except Exception as error:
            raise _unexpected(error) from error
        self._queue_length = subscription.queue_length
        self._is_shared = subscription.is_shared
        self._note_leading(subscription.is_leading)
        is_full = not reading.bodies and subscription.is_full
        # An event of our own could not come back either.
        if reading.bodies or is_full or not subscription.echoes:
            echo.note_message()
        else:
            echo.examine_silence()
        is_behind = _BEHIND if subscription.is_behind else None
        self._note_blocked(_FULL if is_full else _BLOCKED if echo.is_blocked else is_behind)
        received = ev.decode(
            reading.bodies, on_invalid=self._invalid, task_event=self.task_event, own_at=own_at
        )
        if self.enable_events and any(event.type == "worker-online" for event in received):
            self._enable_later = True
        if (
            self._enable_later
            and self.time_source.monotonic() - self._broadcast_at >= _BROADCAST_SECONDS
        ):
            self._enable_later, self._broadcast_at = False, self.time_source.monotonic()
            broadcast(self.app, self._source, "enable_events")
        return received, reading

    def _note_leading(self, is_leading: bool) -> None:
        """Tell whether it is for us to read, when that is known and when it changes."""
        if is_leading != self._is_leading:
            self._is_leading = is_leading
            if self.on_leading is not None:
                self.on_leading(is_leading)

    def _note_blocked(self, reason: str | None) -> None:
        """Tell why nothing can come, once; None: it can."""
        if reason == self._blocked_by:
            return
        self._blocked_by = reason
        if reason:
            log.warning(reason)
        if self.on_blocked is not None:
            self.on_blocked(reason is not None)

    def _leave(self, subscription: Subscription) -> None:
        """Shut down gracefully: what this makes safe is acknowledged before the connection goes."""
        if self.on_stop is not None:
            self.on_stop()
        if self._settled:
            subscription.acknowledge(self._settled.pop(), last=True)

    def _has_stopped(self) -> bool:
        """Return whether to stop even though events keep coming."""
        is_late = self._stop_by is not None and self.time_source.monotonic() >= self._stop_by
        return is_late and self._may_leave()

    def _may_leave(self) -> bool:
        return self.may_leave is None or self.may_leave()

    def _hand_over(
        self, received: Sequence[ev.Event], reading: Reading, own_at: Sequence[int]
    ) -> None:
        if self.on_events is not None:
            start = 0
            if self.on_own is not None:
                for at in own_at:
                    self.on_events(received[start : at + 1], None)
                    own, start = received[at], at + 1
                    if isinstance(own, ev.OwnEvent):
                        self.on_own(own)
            if start < len(received) or reading.ack_token:
                self.on_events(received[start:] if start else received, reading.ack_token)
        if not (self.handlers and any(map(self._is_handled, received))):
            return
        received_at = self.time_source.wall()
        for fields in ev.decode_fields(reading.bodies, is_wanted=self._is_handled):
            fields["local_received"] = received_at
            handler = self._handler_of(fields["type"])
            if handler is not None:
                self._guard.call(handler, fields)

    def _handler_of(self, type_: str) -> Callable[[Any], object] | None:
        handlers: Mapping[str, Callable[[Any], object]] = self.handlers
        return handlers.get(type_) or handlers.get("*")

    def _is_handled(self, event: ev.Event) -> bool:
        return self._handler_of(event.type) is not None and not is_own_event(event)

    def _invalid(self, error: InvalidEvent) -> None:
        if self.on_invalid is not None:
            self.on_invalid(error)

    def _lost_broker(self, error: BaseException, failures: int, broker: str) -> None:
        """Log it, and wait a little longer each time, so that not all return at once."""
        if self.on_connection is not None:
            self.on_connection(False)
        if self.should_stop:
            return
        ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 10))
        pause = ceiling * (0.5 + random.random() / 2)  # noqa: S311  no secret hangs on it
        self._tell_lost(self._shown_broker or broker, one_line(error), pause)
        until = self.time_source.monotonic() + pause
        while not self.should_stop and self.time_source.monotonic() < until:
            self.time_source.sleep(min(_READ_SECONDS, pause))

    def _tell_lost(self, broker: str, reason: str, pause: float) -> None:
        """Log why; a broker that lets nobody in will do so until a person has helped."""
        remedy, now = remedy_for(reason), self.time_source.monotonic()
        if remedy is None:
            log.warning(
                "broker %s is away (%s); next try in %.1f s",
                *(broker, reason, pause),
                extra={"seconds": round(pause, 1)},
            )
        elif reason != self._refused[0] or now - self._refused[1] >= _REPEAT_REFUSAL_SECONDS:
            self._refused = reason, now
            log.error("broker %s refuses us: %s. %s It is tried again.", broker, reason, remedy)
        else:
            log.debug("broker %s still refuses us; next try in %.1f s", broker, pause)


def _unexpected(error: Exception) -> ConnectionError:
    """Return what an error of a driver means that cannot read what the server has sent.

    Drivers raise anything then. Who answers in the place of the broker may be gone soon.
    """
    return ConnectionError(
        f"it sends what cannot be read: {type(error).__name__}: {one_line(error)}"
    )
