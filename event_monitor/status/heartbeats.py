"""Heartbeats: whether workers that do not answer are alive, by what they send of themselves."""

from __future__ import annotations

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent
from ..events import Event, WorkerEvent, decode
from ..over_sqs.configuration import event_queue_of
from ..receiver import Receiver
from ..receiver.transports import subscription_to
from .worker_note import is_in_time, note_of

__all__ = ["sends_heartbeats"]

_READ_SECONDS = 0.5


def sends_heartbeats(
    app: CeleryApp, worker: str | None = None, *, seconds: float, clock: Clock = SYSTEM_CLOCK
) -> bool:
    """Return whether a heartbeat of this worker, or of any without a nodename, is received.

    Listens for so many seconds at most, subscribing included; Celery's workers send one every two.
    False also where this user may not receive events. Where an SQS queue carries them none is, as
    they would be missing in the monitor: there a worker beside us has left a note, or has not.
    """
    if event_queue_of(app) is not None:
        note = None if worker is None else note_of(app, worker, now=clock.wall())
        return note is not None and is_in_time(note)
    deadline = clock.monotonic() + seconds
    receiver = Receiver(app.connection_for_read(), app=app)
    subscription = subscription_to(
        receiver.connection, queue=receiver.queue, on_invalid=_ignore, clock=clock
    )
    try:
        subscription.open()
        while clock.monotonic() < deadline:
            events = decode(subscription.read(_READ_SECONDS).bodies, on_invalid=_ignore)
            if any(_is_heartbeat(event, worker) for event in events):
                return True
    except subscription.gone:
        return False
    finally:
        subscription.close()
    return False


def _is_heartbeat(event: Event, worker: str | None) -> bool:
    return (
        isinstance(event, WorkerEvent)
        and event.type == "worker-heartbeat"
        and worker in (None, event.hostname)
    )


def _ignore(_error: InvalidEvent) -> None:
    """Do nothing: whatever is no event is no heartbeat."""
