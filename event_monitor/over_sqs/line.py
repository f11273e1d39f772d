"""Line: what a user adds to the module that makes the app. Imports neither boto3 nor the sender."""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import Any

from celery import Celery, signals

from ..enqueued_at import stamp_tasks
from ..errors import SettingsError
from .configuration import DEFAULT_NAME, EventQueue, event_queue_of, remember_event_queue

__all__ = ["send_events_over_sqs"]

_PACKAGE = __package__
_UID = "event_monitor.over_sqs"


def send_events_over_sqs(
    app: Any,
    name: str = DEFAULT_NAME,
    *,
    flush_seconds: float = 10.0,
    beat_seconds: float = 20.0,
    buffer_events: int = 100_000,
    producers: bool = False,
) -> None:
    """Let workers of the app send their events in messages of an SQS queue, on any broker.

    Call it where the app is made, before or after it is configured; calling it again changes
    nothing. Workers send task events if they are started with ``-E``. ``name`` is the queue's, or
    its URL; the others are those of ``EventQueue``. With ``producers``, whoever publishes a task
    sends task-sent, where ``task_send_sent_event`` is set; without, only the time is written into
    the task's headers, for ``TaskQueueTime``. Raises ``SettingsError`` if an argument is wrong.
    """
    queue = EventQueue(
        name=name,
        flush_seconds=flush_seconds,
        beat_seconds=beat_seconds,
        buffer_events=buffer_events,
        producers=producers,
    )
    app = getattr(app, "_get_current_object", lambda: app)()  # of ``celery.current_app``
    if not isinstance(app, Celery):
        raise SettingsError(
            f"the first argument of send_events_over_sqs is {app!r}; it has to be a Celery app."
        )
    if event_queue_of(app) == queue:
        return
    remember_event_queue(app, queue)
    stamp_tasks(app)
    events = app.events
    events.dispatcher_cls = f"{_PACKAGE}.dispatcher:SqsDispatcher"
    events.default_dispatcher = partial(_default_dispatcher, app)
    # What Celery has made already with its own class; looked at without making the app's parts.
    vars(events).pop("Dispatcher", None)
    made = vars(vars(app)["amqp"]) if "amqp" in vars(app) else {}
    for part in ("_event_dispatcher", "send_task_message"):
        made.pop(part, None)
    signals.worker_init.connect(_on_worker_init, weak=False, dispatch_uid=_UID)
    # For who calls this in a handler of worker_init.
    signals.celeryd_after_setup.connect(_on_worker_set_up, weak=False, dispatch_uid=_UID)
    signals.worker_process_shutdown.connect(_on_process_end, weak=False, dispatch_uid=_UID)
    if producers:  # not in the sender's thread: it would be half done in the child of a fork
        import_module(f"{_PACKAGE}.outgoing")
        import_module(f"{_PACKAGE}.queue_client").prepare()


def _default_dispatcher(app: Any, *arguments: Any, **options: Any) -> Any:
    return import_module(f"{_PACKAGE}.dispatcher").unconnected_dispatcher(
        app, *arguments, **options
    )


def _on_worker_init(sender: Any, **_signal: object) -> None:
    if event_queue_of(sender.app) is not None:
        import_module(f"{_PACKAGE}.worker_side").observe_worker(sender)


def _on_worker_set_up(instance: Any, **_signal: object) -> None:
    _on_worker_init(instance)


def _on_process_end(**_signal: object) -> None:
    """Send what a pool's process has left: it ends without running what ``atexit`` knows of."""
    if f"{_PACKAGE}.sender" in sys.modules:
        sender = import_module(f"{_PACKAGE}.sender")
        sender.close_senders(seconds=sender.CHILD_SECONDS)
