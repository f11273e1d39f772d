"""Inspect: ask the workers what they hold, in one round of commands with one deadline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from struct import error as StructError  # noqa: N812  it is a class

from kombu.exceptions import KombuError

from ..broker.capabilities import answers_remote_control
from ..broker.connections import shown
from ..broker.control import Question, Reply, collect_replies, mailbox_of
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import TaskInFlight
from ..survey import WorkerAnswer
from ..text import one_line
from .replies import COMMANDS, known_tasks, start_interval, with_reply

__all__ = [
    "ask_start_intervals",
    "ask_workers",
    "look_at_workers",
    "replies_of",
    "tasks_in_flight",
]

_HOLDING = ("scheduled", "reserved", "active")  # where a task is in two of them, the last counts

_CLOSE_SECONDS = 1.0  # beyond the time for replies, to close the connection


def ask_workers(
    app: CeleryApp,
    *,
    timeout: float,
    expected: Collection[str] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[WorkerAnswer, ...]:
    """Return what each worker that answers holds, sorted by nodename.

    Takes ``timeout`` seconds and a second at most, connecting included; less when everybody in
    ``expected`` (nodenames) has answered everything. A worker that does not answer is left out.
    Raises ``ConnectionError``, with a sentence for the log, if the broker cannot be used.
    """
    return look_at_workers(app, timeout=timeout, expected=expected, clock=clock)[0]


def look_at_workers(
    app: CeleryApp,
    *,
    timeout: float,
    destination: Collection[str] = (),
    expected: Collection[str] = (),
    quiet_seconds: float | None = None,
    on_unreadable: Callable[[], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[tuple[WorkerAnswer, ...], tuple[TaskInFlight, ...]]:
    """Return the answers as ``ask_workers`` does, and the tasks that are running.

    Whom it asks and how long it waits is as in ``Question``.
    """
    answers: dict[str, WorkerAnswer] = {}
    running: list[TaskInFlight] = []
    question = Question(
        commands=COMMANDS,
        destination=destination,
        expected=expected,
        quiet_seconds=quiet_seconds,
        on_unreadable=on_unreadable,
    )
    for reply in replies_of(app, question, timeout=timeout, clock=clock):
        if reply.command == "active":
            running.extend(known_tasks(reply.hostname, reply.body))
        answer = answers.get(reply.hostname) or WorkerAnswer(reply.hostname)
        answers[reply.hostname] = with_reply(answer, reply)
    return tuple(answers[hostname] for hostname in sorted(answers)), tuple(running)


def ask_start_intervals(
    app: CeleryApp,
    destination: Collection[str],
    *,
    timeout: float,
    clock: Clock = SYSTEM_CLOCK,
) -> dict[str, float]:
    """Return the seconds between two starts at its lowest rate limit, of each of these workers.

    0 where no task has a limit. A worker that does not answer is left out. The reply lists all its
    tasks, so this is for few workers. Raises ``ConnectionError`` as ``ask_workers`` does.
    """
    question = Question(
        commands=("registered",),
        destination=destination,
        arguments={"registered": {"taskinfoitems": ["rate_limit"]}},
    )
    intervals = {}
    for reply in replies_of(app, question, timeout=timeout, clock=clock):
        interval = start_interval(reply.body)
        if interval is not None and reply.hostname in destination:
            intervals[reply.hostname] = interval
    return intervals


def replies_of(
    app: CeleryApp, question: Question, *, timeout: float, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Reply]:
    """Yield the replies to a question as they come, on a connection of its own.

    Takes ``timeout`` seconds and a second at most. Raises ``ConnectionError``, with a sentence for
    the log, if the broker cannot be used.
    """
    deadline = clock.monotonic() + timeout
    source = app.connection_for_read()
    lost = (*source.connection_errors, *source.channel_errors, KombuError, OSError)
    # What kombu and the drivers let through where a reply is not even a message.
    lost = (*lost, ValueError, TypeError, LookupError, AttributeError, RecursionError, StructError)
    try:
        with mailbox_of(app, source, seconds=timeout + _CLOSE_SECONDS) as mailbox:
            yield from collect_replies(mailbox, question, deadline=deadline, clock=clock)
    except lost as error:
        # The text is the server's or the driver's; of the URL only the masked form is shown.
        raise ConnectionError(
            f"the workers on {shown(source)} cannot be asked: {one_line(error)}"
        ) from error


def tasks_in_flight(
    app: CeleryApp, *, timeout: float, clock: Clock = SYSTEM_CLOCK
) -> tuple[TaskInFlight, ...]:
    """Return every task that a worker runs, has reserved or has scheduled.

    Takes ``timeout`` seconds at most, less when no reply has come for a third of that. Workers
    that do not answer are left out; where none takes commands, nobody is asked. Raises
    ``ConnectionError`` as ``ask_workers`` does.
    """
    if not answers_remote_control(app.connection_for_read()):
        return ()
    question = Question(commands=_HOLDING, quiet_seconds=timeout / 3)
    replies = list(replies_of(app, question, timeout=timeout, clock=clock))
    known: dict[str, TaskInFlight] = {}
    for reply in sorted(replies, key=lambda reply: _HOLDING.index(reply.command)):
        for task in known_tasks(reply.hostname, reply.body):
            known[task.uuid] = task
    return tuple(known.values())
