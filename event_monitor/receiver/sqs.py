"""SQS: the event queue that ``send_events_over_sqs`` fills, read whatever the broker is.

Threads receive; here what they hand over is put into order. Nothing is deleted before the window
that it was counted in is safe. With a lease, one monitor of several reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..broker.protocols import Connection, Errors
from ..clock import SYSTEM_CLOCK, Clock
from ..over_sqs.configuration import EventQueue, client_arguments
from ..snapshot import AckToken
from .sender_order import Position
from .sqs_errands import Errands
from .sqs_lease import SqsLease, lease_name
from .sqs_polls import Polls
from .sqs_requests import RawMessage, SqsError, SqsQueue
from .sqs_stream import SqsStream
from .subscription import OnInvalid, Reading

__all__ = ["SqsSource", "SqsSubscription"]

_LEAVE_SECONDS = 10.0  # for what is deleted last and given back; AWS takes some 10 ms for 10
_LATE_SECONDS = 2.0  # for a request under way: while events come, one comes sooner
_ABSENCE_SECONDS = 5.0  # between two reads: we were stopped, and so were our requests


@dataclass(frozen=True, slots=True)
class SqsSource:
    """The event queue, and what outlives every subscription to it."""

    queue: EventQueue
    stream: SqsStream = field(default_factory=SqsStream)
    lease: SqsLease = field(default_factory=SqsLease)
    #: What a request brought that was under way when its subscription broke, and when. Thread-safe.
    late: deque[tuple[float, RawMessage]] = field(default_factory=deque)
    #: What is counted, and never published. Thread-safe.
    discarded: deque[AckToken] = field(default_factory=deque)

    @classmethod
    def after(cls, queue: EventQueue, positions: Mapping[str, Position]) -> SqsSource:
        """Return the source for who goes on where another process was."""
        return cls(queue, SqsStream(positions))

    def are_ours(self, tokens: Sequence[AckToken]) -> bool:
        """Return whether no other monitor gets the messages of these. Any thread may call it.

        Without the lease SQS keeps them out of its sight for a while.
        """
        now = self.lease.clock.monotonic()
        return not self.lease.may_be_anothers or all(now < token.ours_until for token in tokens)

    def give_up(self, tokens: Sequence[AckToken]) -> None:
        """Note that these are another monitor's; with the lease we begin anew. Any thread may."""
        self.lease.has_another = True  # else what comes again would be taken for counted
        self.discarded.extend(tokens)


class SqsSubscription:
    """One session with SQS. ``is_leading``: we read; else another monitor has the lease."""

    echoes = False  # an event of our own would cost, and prove nothing: SQS answers each request
    gone: Errors = (OSError,)

    def __init__(
        self,
        connection: Connection,
        *,
        source: SqsSource,
        on_invalid: OnInvalid,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.connection = connection
        self.is_leading = False
        self.shown = f"the SQS queue {source.queue.name}"
        self._stream = source.stream
        self._lease = source.lease
        self._late = source.late
        self._discarded = source.discarded
        self._on_invalid = on_invalid
        self._clock = clock
        arguments = client_arguments(source.queue, connection)
        self._queue = SqsQueue(source.queue.name, arguments)
        self._lease_queue = SqsQueue(lease_name(source.queue.name), arguments)
        self._polls: Polls | None = None
        self._errands: Errands | None = None
        self._is_well = False
        self._read_at = float("-inf")

    @property
    def queue_length(self) -> int | None:
        """Return the messages that wait, as of up to a minute ago; each has many events."""
        return None if self._errands is None else self._errands.queue_length

    @property
    def is_full(self) -> bool:
        """Whether nothing more is received before something is safe."""
        return self._stream.is_full

    @property
    def is_shared(self) -> bool | None:
        """Whether another reader takes a part of the messages; None if that is to be seen."""
        if self._stream.may_be_shared(self._clock.monotonic()):
            return None
        return self._stream.is_shared

    @property
    def is_behind(self) -> bool:
        """Whether messages wait for others of their senders, or more wait than is read at once."""
        return self._stream.is_behind(self._clock.monotonic())

    def open(self) -> None:
        """Find the queue, ask for the lease, begin to receive."""
        self._queue.open()
        lease_queue: SqsQueue | None = self._lease_queue
        self._lease.is_alone = False  # there may be one by now
        try:
            self._lease_queue.open_beside(self._queue)
            self._lease.turn(self._lease_queue)
        except SqsError as error:
            self._lease.note_error(error)
        if self._lease.is_alone:
            lease_queue = None
        self._errands = Errands(
            self._queue, lease=self._lease, lease_queue=lease_queue, clock=self._clock
        )
        self._polls = Polls(
            self._queue,
            # Not before we lead: what is out of sight then is another reader's.
            may_read=lambda: self.is_leading and self._lease.is_held and not self._stream.is_full,
            on_late=self._on_late,
        )
        self._queue.on_receive_again = self._polls.note_missed
        self._lead()
        try:
            self._errands.start()
            self._polls.start()
        except RuntimeError as error:  # no more threads now
            raise SqsError(str(error)) from error
        self._is_well = True
        self._read_at = self._clock.monotonic()

    def read(self, timeout_seconds: float) -> Reading:
        """Return the events of all messages whose turn it is."""
        polls, errands = self._polls, self._errands
        if polls is None or errands is None:
            raise SqsError("it is not open")
        self._discard()
        try:
            self._lead()
            messages = polls.take(0 if self._late else timeout_seconds)
        except SqsError:
            self._is_well = False
            raise
        late = [self._late.popleft() for _ in range(len(self._late))]
        if not self.is_leading:
            self._give_back([*messages, *(message for _, message in late)])
            return Reading()
        now = self._clock.monotonic()
        may_have_missed = polls.take_missed()
        if may_have_missed or now - self._read_at >= _ABSENCE_SECONDS:
            self._stream.note_absence(now, may_have_missed=may_have_missed)
        self._read_at = now
        for at, message in late:
            self._stream.feed([message], now=now, came_at=at, on_invalid=self._on_invalid)
        self._stream.feed(messages, now=now, on_invalid=self._on_invalid)
        reading = self._stream.read(now=now, is_backlog=polls.is_backlog)
        errands.delete(self._stream.take_spent())
        return reading

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Delete the token's messages, and all before them; with ``last``, wait for the end."""
        self._discard()  # first: all before the token is deleted
        self._stream.settle(token)
        if self._errands is not None:
            self._errands.delete(self._stream.take_spent())
            if last:
                self._errands.wait(_LEAVE_SECONDS)

    def close(self) -> None:
        """Receive no more. If SQS was there, give back what was not counted, and the lease.

        But not the lease while a request is under way, as mostly where few messages come: what SQS
        has for it yet nobody gets for minutes, and who leads then has to know that there is any.
        """
        polls, errands = self._polls, self._errands
        if polls is None or errands is None:
            self._queue.close()
            return
        self._on_late(polls.stop(_LATE_SECONDS if self._is_well else 0.0))
        if self._is_well:
            errands.give_back([*self._stream.take_rest(), *self._stream.unsafe_handles()])
        leaves = self._is_well and polls.has_ended
        errands.finish(_LEAVE_SECONDS if self._is_well else 0.0, leave=leaves)
        self._queue.close()

    def _lead(self) -> None:
        """Begin to read with the lease, and stop without it."""
        if self._lease.is_held and not self.is_leading:
            in_flight = self._in_flight()
            if self._lease.take_was_others():
                self._stream.forget()
            now, wall = self._clock.monotonic(), self._queue.wall
            wall = self._clock.wall() if wall is None else wall
            self._stream.begin(now=now, wall=wall, in_flight=in_flight)
            self.is_leading = True
        elif not self._lease.is_held:
            self.is_leading = False
            rest = self._stream.take_rest()
            if rest and self._errands is not None:
                self._errands.give_back(rest)

    def _discard(self) -> None:
        while self._discarded:
            self._stream.discard(self._discarded.popleft())

    def _in_flight(self) -> int | None:
        """Return how many messages are with a reader that may have gone; None if not told."""
        try:
            return self._queue.counts()[1]
        except SqsError as error:
            if error.is_forbidden:
                return None
            raise

    def _on_late(self, messages: Sequence[RawMessage]) -> None:
        """Keep what came too late for the next subscription; give it back if there is none."""
        if self._is_well:
            self._give_back(messages)
        else:
            now = self._clock.monotonic()
            self._late.extend((now, message) for message in messages)

    def _give_back(self, messages: Sequence[RawMessage]) -> None:
        if self._errands is not None and messages:
            self._errands.give_back(message["ReceiptHandle"] for message in messages)
