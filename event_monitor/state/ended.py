"""Ended: a task that has just ended, as a value for the consumers of tasks. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from copy import copy
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from .. import events as ev
from ..snapshot import OTHER, UNKNOWN, EndedTask
from .in_flight import NO_DETAILS, Details, InFlightTask, relatives_of
from .place import place_of

__all__ = ["Ending", "WeighSuccess", "arguments_of", "ended_task", "frozen"]

_HOW: dict[str, Literal["succeeded", "failed", "retried", "revoked", "rejected"]] = {
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-retried": "retried",
    "task-revoked": "revoked",
    "task-rejected": "rejected",
}
# When everything fails there are thousands of failures a second, and few kinds of them.
_REMEMBERED = 500
_LONGEST_REMEMBERED = 4_096  # bytes of a traceback
_LONGEST_CLASS = 200
_CLASS = re.compile(rb'"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)')  # how a repr usually begins
_MOST_BYTES = 16_384  # of one detail: Celery cuts most at 1,024 characters, a traceback has some kB

#: Says how many tasks one stands for that succeeded, by its id, its name and its runtime in
#: seconds; 0 if consumers do not want it. Called under the state's lock for each that succeeds,
#: but for those that were retried, which are always wanted.
WeighSuccess = Callable[[str, str, float | None], float]


class Ending(NamedTuple):
    """A task that has just ended, and the event that ended it; how many such tasks it stands for.

    Of a run that is retried, ``task`` is a copy.
    """

    task: InFlightTask
    event: ev.TaskEvent
    weight: float = 1.0


def frozen(task: InFlightTask) -> InFlightTask:
    """Return a task as it is now, though it goes on."""
    as_it_is = copy(task)
    as_it_is.details = copy(task.details)
    return as_it_is


def ended_task(ending: Ending, *, wanted: Collection[str] = ()) -> EndedTask:
    """Return the task as a value, with those details that are wanted."""
    task, event, weight = ending
    how = _HOW[event.type]
    details = task.details or NO_DETAILS
    first_received = details.first_received_at
    root, parent = relatives_of(task)
    has_raised = how in ("failed", "retried")
    return EndedTask(
        id=event.uuid,
        name=task.name,
        how=how,
        ended=event.timestamp,
        queue=details.queue or _known(task.cell.queue),
        worker=event.hostname,
        sent=details.first_sent_at,
        received=task.received_at if first_received is None else first_received,
        started=task.started_at,
        retries=details.retries,
        runtime=event.runtime,
        exception=_exception_of(event) if has_raised else None,
        place=_place_in(bytes(event.traceback)) if has_raised else None,
        root=root,
        parent=parent,
        weight=weight,
        details=_details(details, event, wanted) if wanted else (),
    )


def _exception_of(event: ev.TaskEvent) -> str:
    """Return the class of what was raised, as ``exception_type`` does, usually by a look-up."""
    begin, bracket, _ = bytes(event.exception)[:_LONGEST_CLASS].partition(b"(")
    return (_class_named(begin) if bracket else None) or ev.exception_type(event)


@lru_cache(maxsize=_REMEMBERED)
def _class_named(begin: bytes) -> str | None:
    found = _CLASS.fullmatch(begin)
    return found[1].decode() if found and found[1] != b"ExceptionWithTraceback" else None


def _place_in(traceback: bytes) -> str | None:
    """Return where it was raised, usually by a look-up of all but the last line, the message."""
    frames = traceback[: traceback.rfind(b"\\n", 0, -3)]
    if 0 < len(frames) <= _LONGEST_REMEMBERED:
        return _place_of_frames(frames)
    return place_of(traceback)


_place_of_frames = lru_cache(maxsize=_REMEMBERED)(place_of)


def _known(queue: str) -> str | None:
    return None if queue in (OTHER, UNKNOWN) else queue


def _details(
    details: Details, event: ev.TaskEvent, wanted: Collection[str]
) -> tuple[tuple[str, bytes], ...]:
    """Return copies of what is wanted and was sent, but for what is too long to be Celery's.

    A ``Raw`` would keep the whole message in memory.
    """
    args, kwargs = details.arguments or (b"", b"")
    texts = {
        "message": bytes(event.exception),
        "traceback": bytes(event.traceback),
        "args": args,
        "kwargs": kwargs,
        "result": bytes(event.result) if isinstance(event, ev.DetailedTaskEvent) else b"",
    }
    return tuple(
        (name, text)
        for name, text in texts.items()
        if name in wanted and len(text) <= _MOST_BYTES and text not in (b"", b"null")
    )


def arguments_of(event: ev.DetailedTaskEvent) -> tuple[bytes, bytes]:
    """Return the JSON of args and kwargs of a task, copied."""
    return _copied(event.args), _copied(event.kwargs)


def _copied(raw: msgspec.Raw) -> bytes:
    text = bytes(raw)
    return text if len(text) <= _MOST_BYTES else b""
