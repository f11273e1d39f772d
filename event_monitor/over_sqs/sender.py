"""Sender: an app's events on their way to SQS, through forks and to the end of the process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.util import Finalize, register_after_fork
from typing import Any
from weakref import WeakSet

from billiard.process import current_process

from ..clock import SYSTEM_CLOCK, Clock
from . import queue_client
from .configuration import EventQueue, client_arguments, event_queue_of
from .fields import Fields, strip
from .outbox import Counts, Outbox
from .queue_client import QueueClient

__all__ = ["CHILD_SECONDS", "Sender", "close_senders", "sender_of"]

STOP_SECONDS = 2.0  # how long the end of a process waits for the last events; a pool waits before
CHILD_SECONDS = 1.0  # the same of a child, for which its parent may wait

_ATTRIBUTE = "_event_monitor_sender"  # of the app

_senders: WeakSet[Sender] = WeakSet()
_forking = threading.local()  # two threads may fork at a time
_process = os.getpid()  # whose senders these are
_noticing = threading.Lock()


class Sender:
    """Takes events from any thread, and sends them from one of its own. It survives forks.

    In the child of a fork it is a new one: with another id, no events, and no client. Its thread
    starts with the first event. That is so whoever forks, Python or a server in C.
    """

    def __init__(
        self, queue: EventQueue, arguments: Mapping[str, str], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.queue = queue
        self.on_beat: Callable[[], None] = lambda: None  # in its thread, after ``note_beat``
        self._arguments = arguments
        self._clock = clock
        self.begin()
        _senders.add(self)

    def begin(self) -> None:
        """Begin with nothing."""
        self._outbox = Outbox(
            self.queue,
            QueueClient(self.queue, self._arguments),
            on_beat=lambda: self.on_beat(),
            clock=self._clock,
        )

    def put(self, events: Sequence[Fields], *, at_once: bool = False) -> None:
        """Take events, which are the sender's from now on. Never raises, never waits."""
        outbox = self._outbox_here()
        try:
            for event in events:
                strip(event)
        except Exception:  # noqa: BLE001  the user's thread has nothing to do with it
            events = self._without_broken(events)
        outbox.buffer.put(events, at_once=at_once)
        self._start(outbox)

    def put_heartbeat(self, event: Fields) -> None:
        """Take a heartbeat, which replaces an older one that was not sent."""
        outbox = self._outbox_here()
        outbox.buffer.put_heartbeat(event)
        self._start(outbox)

    def note_beat(self) -> None:
        """Call ``on_beat`` soon, in the sender's thread: it may write to a disk."""
        outbox = self._outbox_here()
        outbox.buffer.note_beat()
        self._start(outbox)

    def _outbox_here(self) -> Outbox:
        """Return this process's outbox. uWSGI forks, and Python does not learn of it."""
        if os.getpid() != _process:
            _notice_fork()
        return self._outbox

    def _without_broken(self, events: Sequence[Fields]) -> list[Fields]:
        """Return the events that are events; the others are dropped."""
        good = []
        for event in events:
            try:
                strip(event)
                good.append(event)
            except Exception:  # noqa: BLE001
                self._outbox.buffer.note_dropped(1)
        return good

    @staticmethod
    def _start(outbox: Outbox) -> None:
        if not outbox.is_started:
            with suppress(RuntimeError):  # no more threads now; they wait for the next event
                outbox.start()

    def counts(self) -> Counts:
        """Return what became of this process's events so far."""
        return self._outbox_here().counts()

    def close(self) -> None:
        """Let the rest be sent."""
        self._outbox_here().close()

    def join(self, seconds: float) -> None:
        """Wait until that is done, for so long at most."""
        self._outbox_here().join(seconds)


def sender_of(app: Any) -> Sender:
    """Return the app's sender, the same until ``send_events_over_sqs`` says something else."""
    queue = event_queue_of(app) or EventQueue()
    sender = getattr(app, _ATTRIBUTE, None)
    if not isinstance(sender, Sender) or sender.queue != queue:
        sender = Sender(queue, client_arguments(queue, app.connection_for_write()))
        setattr(app, _ATTRIBUTE, sender)
    return sender


def close_senders(*, seconds: float = STOP_SECONDS) -> None:
    """Send what is left, within that time: the process ends."""
    clock = SYSTEM_CLOCK
    until = clock.monotonic() + seconds
    senders = tuple(_senders)
    for sender in senders:
        sender.close()
    for sender in senders:
        sender.join(until - clock.monotonic())


def _before_fork() -> None:
    _forking.release = queue_client.hold_for_fork()


def _after_fork_in_parent() -> None:
    _forking.release()


def _notice_fork() -> None:
    with _noticing:
        if os.getpid() != _process:
            _after_fork_in_child()


def _after_fork_in_child() -> None:
    global _process
    queue_client.after_fork()
    for sender in tuple(_senders):
        sender.begin()
    _process = os.getpid()


def _close_as_child_ends(_: object = None) -> None:
    """Let this process, of ``multiprocessing`` or billiard, send what is left: no ``atexit`` runs.

    Both have the one registry.
    """
    Finalize(None, _close_child, exitpriority=1)


def _close_child() -> None:
    close_senders(seconds=CHILD_SECONDS)


atexit.register(close_senders)
register_after_fork(close_senders, _close_as_child_ends)
if parent_process() is not None or current_process()._parent_pid is not None:  # noqa: SLF001
    _close_as_child_ends()  # it has begun already
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
