"""Over SQS: what is examined where ``send_events_over_sqs`` lets an SQS queue carry the events."""

from __future__ import annotations

from collections.abc import Iterator

from ..broker.capabilities import answers_remote_control
from ..broker.protocols import CeleryApp, Connection
from ..clock import SYSTEM_CLOCK, Clock
from ..events import OWN_EVENT
from ..exchange import Exchange
from ..over_sqs.configuration import EventQueue
from ..settings import Settings
from ..text import one_line
from .advice import Known, advise
from .answers import Answers, ask_workers
from .broker import reach
from .configuration import app_configuration
from .event_messages import Heard, listen
from .event_queue import SqsClient, examine_event_queue, open_client
from .evidence import evidence_of
from .finding import Finding
from .queues import examine_queues
from .rights import needs_of
from .server import rabbitmq_alarms, redis_memory
from .workers import judge_workers

__all__ = ["examine_over_sqs", "judge_heard"]

_EXAMINE_SECONDS = 60.0  # credentials included, which a process may have to fetch
_ANSWERS_SECONDS = 60.0  # more than it takes to listen
_NOT_INSTALLED = (
    "Does the module of the app that workers load call send_events_over_sqs(app)?\n"
    "May they send to the queue: sqs:SendMessage and sqs:GetQueueUrl? Their logs say if not."
)


def examine_over_sqs(
    app: CeleryApp,
    settings: Settings,
    queue: EventQueue,
    *,
    listen_seconds: float,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Finding]:
    """Yield findings on the event queue, the workers and the queues of tasks."""
    source = app.connection_for_read()
    yield Finding(
        "transport", "ok", f"events go over the SQS queue {queue.name} (send_events_over_sqs)"
    )
    if source.transport.driver_type != "sqs":  # else the event queue shows whether it is there
        broker = reach(source, clock=clock)
        yield broker
        if broker.status == "failed":
            yield Finding("workers", "skipped", "the broker has to be reached first")
            return
    try:
        client, findings = Exchange(_EXAMINE_SECONDS).run(lambda: _examine(queue, source))
        yield from findings
        if any(finding.status == "failed" for finding in findings):
            yield Finding("workers", "skipped", "without events nothing is known of them")
            return
        needs = needs_of(app, source)
        answers = Answers()
        if answers_remote_control(source):
            answers = ask_workers(app, needs, enable_events=settings.enable_events, clock=clock)
            if answers.problem is not None:
                yield answers.problem
        began_at = clock.wall()
        longest = max(listen_seconds, queue.beat_seconds + queue.flush_seconds) + _ANSWERS_SECONDS
        heard = Exchange(longest).run(
            lambda: listen(client, queue, seconds=listen_seconds, clock=clock)
        )
    except Exception as error:  # noqa: BLE001  providers of credentials raise anything
        yield Finding("event queue", "failed", f"{queue.name} cannot be read: {one_line(error)}")
        return
    listened_seconds = clock.wall() - began_at
    yield from judge_heard(queue, heard, answers, listened_seconds=listened_seconds, now=began_at)
    consumed = {*answers.queues, *heard.queues}
    yield from examine_queues(app, settings, needs, consumed=consumed, clock=clock)
    yield from advise(
        Known(
            driver=str(source.transport.driver_type),
            app=app_configuration(app),
            configurations=answers.settings,
            workers=answers.of_one_process,
            tasks=answers.tasks,
            memory=redis_memory(source),
            alarms=rabbitmq_alarms(source, settings),
            sent_came=True,  # TaskQueueTime needs no task-sent where the line is
        )
    )


def _examine(queue: EventQueue, source: Connection) -> tuple[SqsClient, tuple[Finding, ...]]:
    client = open_client(queue, source)
    return client, tuple(examine_event_queue(client, queue))


def judge_heard(
    queue: EventQueue, heard: Heard, answers: Answers, *, listened_seconds: float, now: float
) -> Iterator[Finding]:
    """Yield findings on what was heard since ``now``, wall-clock seconds. Pure."""
    if heard.in_flight:
        yield Finding(
            "monitor",
            "ok",
            f"somebody reads the queue, or did within three minutes: {heard.in_flight:,} of its "
            "messages are being counted",
        )
    if heard.invalid:
        yield Finding(
            "event format",
            "warning",
            f"{heard.invalid:,} messages or events in them are none of send_events_over_sqs",
            "Who else sends to this queue?",
        )
    since = now - 2 * queue.beat_seconds - queue.flush_seconds
    lately = tuple(each for each in heard.received if each.received_at >= since)
    workers = evidence_of(
        answers.configurations, lately, until=now + listened_seconds, replies=answers.replies
    )
    workers = tuple(worker for worker in workers if worker.events)
    if workers:
        yield from judge_workers(
            workers,
            turned_on=answers.turned_on,
            listened_seconds=listened_seconds,
            asked=False,
            judged_by_answers=False,
        )
    elif heard.in_flight:
        yield Finding(
            "workers",
            "note",
            "the messages are with the monitor, so which workers send them is not seen here",
            "Its WorkersOnline, its log or its page tells.",
        )
    elif not heard.is_all:
        yield Finding(
            "workers",
            "warning",
            "many events wait, and nobody reads them: of such a number only some can be looked at, "
            "and no heartbeat of now was among them",
            "Start the monitor: it counts what waits, four days back.",
        )
    else:
        waits = any(each.event.type != OWN_EVENT for each in heard.received)  # ours was just sent
        old = "; older events wait, and nobody reads them" if waits else ""
        yield Finding(
            "workers",
            "failed",
            f"no heartbeat came in {listened_seconds:.0f} s{old}",
            f"{_NOT_INSTALLED}\nStart one with -E: celery -A proj worker -E",
        )
