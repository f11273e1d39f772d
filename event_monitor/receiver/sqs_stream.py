"""SQS stream: what came from the event queue and is not safe yet. Pure: it asks nobody.

A message is deleted only when the window that it was counted in is safe. Until then it stays in the
queue, out of sight for ``VISIBILITY_SECONDS``, and comes again after that: here it is recognised,
and its fresh handle is the one that deletes it later. So nothing has to be prolonged, however long
a window is or CloudWatch is away.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from celery import uuid

from ..errors import InvalidEvent
from ..over_sqs.wire import decode
from ..snapshot import AckToken
from .sender_order import HOLD_SECONDS, Delivery, Position, SenderOrder
from .sqs_requests import RawMessage, first_received_at
from .subscription import OnInvalid, Reading

__all__ = ["VISIBILITY_SECONDS", "SqsStream"]

log = logging.getLogger(__name__)

VISIBILITY_SECONDS = 180  # thrice a usual window; as long as a monitor's crash delays its events
_RETURN_SECONDS = VISIBILITY_SECONDS + 5.0  # by then all has come again that a reader left behind
_BACKLOG_HOLD_SECONDS = 60.0  # while more waits than is read, the disorder is that of the backlog
_BACKLOG_SECONDS = 20.0  # without a break; at 30 messages/s there seems to be one now and then
_USUAL_SECONDS = 5.0  # of disorder; less than any worker's silence is judged by
_ABSENCE_SECONDS = 60.0  # however often we are away, what was held for long is read meanwhile
_MOST_UNSAFE = 100_000  # messages; SQS lets 120,000 be out of sight
_REPEAT_SECONDS = 300.0
_FEW, _MISSING_FRACTION = 5, 0.2  # of the last messages; SQS itself loses none
_LATELY = 400  # messages
_OURS_SECONDS = VISIBILITY_SECONDS - 30.0  # after we take it from an answer, which may wait
_DIED_SECONDS = VISIBILITY_SECONDS - 10.0  # what was given back comes sooner
_INQUIRY_SECONDS = 60.0  # by then another reader would have had enough to be recognised
_INQUIRED = 25  # messages, if these take longer: of so many it would have had enough, too
_LONGEST_INQUIRY_SECONDS = 3_600.0


@dataclass(slots=True)
class _Kept:
    """A message, and the handle that it was last handed out with."""

    handle: str
    lines: Sequence[bytes]
    until: float  # nobody else gets it before
    is_doubtful: bool = False  # a reader before us may have counted it


class _Doubts:
    """Which messages a reader before us had, until it died or lost its way to SQS.

    It may have counted them, and nobody can tell. SQS says when a message was handed out first.
    """

    def __init__(self, *, now: float, wall: float) -> None:
        self._began_at = wall
        self._offset = wall - now

    def are_of(self, message: RawMessage, *, now: float) -> bool:
        """Return whether this message, which comes now, is one of them."""
        first_at = first_received_at(message)
        if first_at is None:
            return False
        return first_at < self._began_at and now + self._offset - first_at >= _DIED_SECONDS


class SqsStream:
    """The messages of one event queue. It outlives every subscription to it. Not thread-safe.

    ``positions`` are those of a checkpoint: each sender's next message, and events it had dropped.
    """

    def __init__(self, positions: Mapping[str, Position] | None = None) -> None:
        self._positions = dict(positions or {})
        self._session = uuid()
        self._order: SenderOrder[_Kept] | None = None
        self._returned_by = float("-inf")  # by then all has come again, but for a backlog
        self._backlog_since: float | None = None
        self._absent_at = float("-inf")
        self._unsafe: dict[tuple[str, int], _Kept] = {}  # counted; by sender and seq
        self._tokens: deque[tuple[int, list[tuple[str, int]]]] = deque()
        self._tag = 0
        self._doubts: _Doubts | None = None
        self._spent: list[str] = []  # handles of what is to be deleted at once
        self._ready: list[Delivery[_Kept]] = []
        self._told_at = float("-inf")
        self._came = self._missing = 0  # messages, of late
        self._inquired_at = float("-inf")  # since when it is asked whether somebody else reads
        self._came_at: deque[float] = deque(maxlen=_INQUIRED)  # the last messages, our clock

    @property
    def is_shared(self) -> bool:
        """Whether so many messages are missing that another reader must have them."""
        return self._missing >= max(_FEW, _MISSING_FRACTION * (self._came + self._missing))

    def may_be_shared(self, now: float) -> bool:
        """Whether messages began to be missing, and it is too early to say if another has them."""
        return not self.is_shared and now - self._inquired_at < self._inquiry_seconds

    @property
    def _inquiry_seconds(self) -> float:
        """Return how long it takes to know whether another reader has what is missing."""
        came_at = self._came_at
        gap = (came_at[-1] - came_at[0]) / (len(came_at) - 1) if len(came_at) > 1 else 0.0
        return min(max(_INQUIRY_SECONDS, gap * _INQUIRED), _LONGEST_INQUIRY_SECONDS)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be received before something is safe."""
        return len(self._unsafe) >= _MOST_UNSAFE

    def is_behind(self, now: float) -> bool:
        """Whether messages wait for others of their senders, longer than usual, or a backlog."""
        if self._order is None:
            return False
        return self._has_backlog(now) or self._order.waits_since(now) < now - _USUAL_SECONDS

    def forget(self) -> None:
        """Forget where the process before us was: another monitor has read on from there."""
        self._positions = {}

    def begin(self, *, now: float, wall: float, in_flight: int | None) -> None:
        """Note that messages can come from now on, perhaps again after a while.

        ``in_flight``: about how many are with a reader that has gone; None if that is not known, so
        that some may be. These come back behind newer ones of the same senders, and so do those
        that the process before us had not deleted. If it was another process, of whose counts
        nothing is known here, it may have counted them.
        ``wall`` is the time by SQS's clock, or by ours, which may be wrong.
        """
        self._backlog_since = None
        seconds = _RETURN_SECONDS  # an answer that did not arrive may have had messages
        if self._order is None:
            seconds = _RETURN_SECONDS if in_flight != 0 or self._positions else 0.0
            has_other = in_flight != 0 and not self._positions
            self._doubts = _Doubts(now=now, wall=wall) if has_other else None
            self._order = SenderOrder(self._positions, now=now)
            self._positions = {}
            if in_flight:
                log.info(
                    "a reader before this one has left about %d messages behind; they come back "
                    "within %.0f s, and later events of the same workers wait for them",
                    in_flight,
                    _RETURN_SECONDS,
                )
            elif in_flight is None:
                log.info(
                    "whether a reader before this one has left messages behind may not be asked "
                    "(sqs:GetQueueAttributes); for %.0f s they are waited for",
                    _RETURN_SECONDS,
                )
        self._await_returned(now, seconds)

    def note_absence(self, now: float, *, may_have_missed: bool) -> None:
        """Note that nothing could come for a while, or that an answer with messages was lost.

        What is missing may come yet.
        """
        self._await_returned(now, _RETURN_SECONDS if may_have_missed else HOLD_SECONDS)

    def feed(
        self,
        messages: Iterable[RawMessage],
        *,
        now: float,
        on_invalid: OnInvalid,
        came_at: float | None = None,
    ) -> None:
        """Take messages as they come; ``came_at``: when they did, if not just now."""
        order = self._order
        if order is None:
            raise RuntimeError("it has not begun")
        came_at = now if came_at is None else came_at
        until = came_at + _OURS_SECONDS
        for message in messages:
            handle, body = message["ReceiptHandle"], message["Body"]
            try:
                header, lines = decode(body)
            except InvalidEvent as error:
                on_invalid(error)
                self._spent.append(handle)
                continue
            known = self._unsafe.get((header.sender, header.seq)) or order.held(header)
            if known is not None:
                known.handle, known.until = handle, until
                continue
            is_doubtful = self._doubts is not None and self._doubts.are_of(message, now=came_at)
            kept = _Kept(handle, lines, until, is_doubtful)
            deliveries = order.add(header, kept, size=len(body), now=now)
            if deliveries is None:  # counted, and safe; or given up
                self._spent.append(handle)
            else:
                self._came_at.append(now)
                self._make_ready(deliveries)

    def read(self, *, now: float, is_backlog: bool = False) -> Reading:
        """Return the bodies of all messages whose turn it is."""
        since = self._backlog_since
        self._backlog_since = (now if since is None else since) if is_backlog else None
        if self._order is None:
            return Reading()
        hold_seconds = _BACKLOG_HOLD_SECONDS if is_backlog else HOLD_SECONDS
        if self._has_backlog(now) and now < self._returned_by:  # what has come again may be in it
            self._returned_by = max(self._returned_by, now + HOLD_SECONDS)
            self._order.wait_until(now + HOLD_SECONDS, at_least=now)
        self._make_ready(self._order.expire(now, hold_seconds=hold_seconds))
        ready, self._ready = self._ready, []
        self._note_missing(len(ready), now)
        if not ready:
            return Reading()
        self._tag += 1
        bodies: list[bytes] = []
        keys: list[tuple[str, int]] = []
        positions: dict[str, Position] = {}
        for kept, sender, position, _ in ready:
            bodies += kept.lines
            kept.lines = ()
            keys.append((sender, position.next_seq - 1))
            positions[sender] = position
        self._tokens.append((self._tag, keys))
        token = AckToken(
            self._session,
            self._tag,
            positions=tuple((name, *position) for name, position in positions.items()),
            dropped=sum(delivery.dropped for delivery in ready),
            doubtful=sum(delivery.item.is_doubtful for delivery in ready),
            ours_until=min(delivery.item.until for delivery in ready),
        )
        return Reading(bodies, token)

    def settle(self, token: AckToken) -> None:
        """Note that the messages of this token, and of all before it, are safe."""
        if token.session != self._session:
            return
        while self._tokens and self._tokens[0][0] <= token.tag:
            _, keys = self._tokens.popleft()
            self._spent += [self._unsafe.pop(key).handle for key in keys]

    def discard(self, token: AckToken) -> None:
        """Forget this token's messages, which are not published: they count if they come again."""
        found = [
            one for one in self._tokens if (self._session, one[0]) == (token.session, token.tag)
        ]
        for one in found:
            self._tokens.remove(one)
            for key in one[1]:
                del self._unsafe[key]

    def take_spent(self) -> list[str]:
        """Return the handles of what is to be deleted."""
        spent, self._spent = self._spent, []
        return spent

    def take_rest(self) -> list[str]:
        """Return the handles of what nobody has counted, which is forgotten here.

        What was counted is known still, if we read again before anybody else does.
        """
        if self._order is None:
            return []
        self._positions = self._order.positions()
        for _, sender, position, dropped in reversed(self._ready):
            del self._unsafe[sender, position.next_seq - 1]
            before = Position(position.next_seq - 1, position.dropped - dropped)
            self._positions[sender] = before
        held = [*(delivery.item for delivery in self._ready), *self._order.take_held()]
        self._ready, self._order = [], None
        return [kept.handle for kept in held]

    def unsafe_handles(self) -> list[str]:
        """Return the handles of what is counted and not safe."""
        return [kept.handle for kept in self._unsafe.values()]

    def _await_returned(self, now: float, seconds: float) -> None:
        """Let messages wait for others that come again within so long."""
        if self._order is None:
            return
        at_least = now
        if now - self._absent_at >= _ABSENCE_SECONDS:
            self._absent_at, at_least = now, now + min(seconds, HOLD_SECONDS)
        self._returned_by = max(self._returned_by, now + seconds)
        self._order.wait_until(now + seconds, at_least=at_least)

    def _has_backlog(self, now: float) -> bool:
        since = self._backlog_since
        return since is not None and now - since >= _BACKLOG_SECONDS

    def _make_ready(self, deliveries: Sequence[Delivery[_Kept]]) -> None:
        """Have these read next; from now on they are known when they come again."""
        for kept, sender, position, _ in deliveries:
            self._unsafe[sender, position.next_seq - 1] = kept
        self._ready += deliveries

    def _note_missing(self, came: int, now: float) -> None:
        """Count what came and what never did; tell of it. EventsLost says what that cost."""
        missing = 0 if self._order is None else self._order.take_missing()
        if missing and not self.is_shared:
            not_before = self._inquired_at + max(_REPEAT_SECONDS, self._inquiry_seconds)
            if now >= not_before:
                self._inquired_at = now
                self._came = self._missing = 0  # what came before says nothing of who reads now
        self._came += came
        self._missing += missing
        if self._came + self._missing > _LATELY:
            self._came, self._missing = self._came // 2, self._missing // 2
        if missing and now - self._told_at >= _REPEAT_SECONDS:
            self._told_at = now
            log.warning(
                "%d messages of the event queue have not come, and are given up; does anybody else "
                "read that queue?",
                missing,
            )
