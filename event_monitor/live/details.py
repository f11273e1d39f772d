"""Details: all that is known of one row, as lines of text. Pure; every name is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..history import FailureGroup, Run
from ..quantities import UNKNOWN, duration, size, took
from ..web.overview import Change
from ..web.rows import QueueRow, WorkerRow
from ..web.words import count, raised
from .look import Look, RunningRow
from .words import bar, clock, safe, spark

__all__ = ["facts_of", "runs_text", "task_of", "title_of", "verdict_text"]

_SECOND = "%Y-%m-%d %H:%M:%S"
_MOST_TASKS = 100

AnyRow = FailureGroup | Change | RunningRow | QueueRow | WorkerRow


def title_of(row: AnyRow) -> str:
    """Return what the row is about."""
    if isinstance(row, FailureGroup):
        return f"{safe(row.name)}  {safe(row.exception)}"
    if isinstance(row, RunningRow):
        return f"{safe(row.task.name)}  {safe(row.task.id)}"
    if isinstance(row, QueueRow):
        return f"queue {safe(row.queue.name)}"
    if isinstance(row, WorkerRow):
        return safe(row.worker.hostname)
    return safe(str(row.sentence))


def task_of(row: AnyRow) -> str | None:
    """Return the id of the task whose runs tell more; None if there is none."""
    if isinstance(row, FailureGroup):
        return row.last_id
    return row.task.id if isinstance(row, RunningRow) else None


def facts_of(row: AnyRow, look: Look) -> str:
    """Return what a look knows of the row."""
    if isinstance(row, FailureGroup):
        return _lines(_of_failures(row, look))
    if isinstance(row, RunningRow):
        return _lines(_of_running(row))
    if isinstance(row, QueueRow):
        return _lines(_of_queue(row, look))
    if isinstance(row, WorkerRow):
        return _lines(_of_worker(row)) + _tasks_on(row.worker.hostname, look)
    return _lines([("began", clock(row.at, _SECOND))])


def _lines(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name:>12}  {text}\n" for name, text in facts)


def _of_failures(group: FailureGroup, look: Look) -> Iterator[tuple[str, str]]:
    yield "failed", f"{group.recent:,} times in the last hour, {group.count:,} in all"
    yield "first", clock(group.first_at, _SECOND)
    yield "last", f"{clock(group.last_at, _SECOND)}, {duration(look.at - group.last_at)} ago"
    yield "where", safe(group.place) if group.place else "no frame of the app's own code is known"
    if group.message:
        yield "message", safe(raised(group))
    yield "last task", safe(group.last_id)


def _of_running(row: RunningRow) -> Iterator[tuple[str, str]]:
    yield "running", f"{duration(row.seconds)}{', far longer than its like' * row.too_long}"
    if row.seconds is not None:
        yield "since", clock(row.task.since, _SECOND)
    if row.usual is not None:
        yield "usually", f"95 % of its name ran at most {took(row.usual)}"
    yield "on", safe(row.task.worker)


def _of_queue(row: QueueRow, look: Look) -> Iterator[tuple[str, str]]:
    queue = row.queue
    yield "waiting", count(queue.ready)
    yield "oldest", "–" if queue.ready == 0 else duration(queue.oldest_seconds)
    yield "unacked", f"{'about ' * queue.sampled}{count(queue.unacked)}"
    yield "in", f"{count(queue.arrivals_per_second)} a second"
    yield "out", f"{count(queue.deliveries_per_second)} a second"
    yield "empty in", row.outlook
    if queue.memory_bytes is not None:
        yield "memory", size(queue.memory_bytes)
    if row.note:
        yield "note", row.note
    readers = [
        worker.worker.hostname
        for worker in look.workers or ()
        if queue.name in (worker.answer.queues or ())
    ]
    yield "readers", f"{count(queue.consumers)}  {', '.join(map(safe, readers[:_MOST_TASKS]))}"
    chart = look.trends.get(queue.name)
    if chart is not None:
        most = max((number for number in chart.ready if number is not None), default=0)
        yield "last hour", f"{spark(chart.ready, 60)}  at most {most:,} waiting"
        oldest = max((age for age in chart.oldest if age is not None), default=None)
        yield "age", f"{spark(chart.oldest, 60)}  at most {duration(oldest)}"


def _of_worker(row: WorkerRow) -> Iterator[tuple[str, str]]:
    worker, answer = row.worker, row.answer
    yield "state", f"{row.state}{', ' if row.note else ''}{row.note}"
    yield "heard", f"{duration(worker.silent_seconds)} ago"
    whole = answer.pool_processes
    yield "busy", f"{bar(row.active, whole, 20)} {count(row.active)} of {count(whole)}"
    yield "reserved", count(answer.reserved)
    yield "scheduled", count(answer.scheduled)
    if answer.memory_bytes is not None:
        yield "memory", f"{size(answer.memory_bytes)} at most, its main process"
    if answer.uptime_seconds is not None:
        yield "up for", duration(answer.uptime_seconds)
    if worker.pid is not None:
        yield "pid", str(worker.pid)
    if worker.load_average is not None:
        yield "load", count(worker.load_average)
    if worker.processed is not None:
        yield "processed", count(worker.processed)
    if answer.queues is not None:
        yield "reads", ", ".join(map(safe, answer.queues[:_MOST_TASKS])) or "no queue"


def _tasks_on(hostname: str, look: Look) -> str:
    mine = [row for row in look.running or () if row.task.worker == hostname]
    lines = [
        f"{duration(row.seconds):>12}  {safe(row.task.name)}  {safe(row.task.id)}"
        f"{'  too long' * row.too_long}"
        for row in mine[:_MOST_TASKS]
    ]
    return "\n".join(["", f"     RUNNING  {len(mine)}, the longest first", *lines, ""])


def runs_text(runs: Sequence[Run]) -> str:
    """Return the runs of a task, the last one first."""
    if not runs:
        return "     no run of it has ended\n"
    return "\n".join(_run(run) for run in reversed(runs))


def _run(run: Run) -> str:
    details = dict(run.details)
    traceback = details.pop("traceback", None)
    facts = [("RUN", f"{run.state}{f', retry {run.retries}' * bool(run.retries)}")]
    before = None
    for name, at in (
        ("sent", run.sent),
        ("received", run.received),
        ("started", run.started),
        ("ended", run.ended if run.ended is not None else run.at),
    ):
        if at is not None:
            after = "" if before is None else f"  +{took(max(0.0, at - before))}"
            facts.append((name, f"{clock(at, _SECOND)}{after}"))
            before = at
    for name, value in (("worker", run.worker), ("queue", run.queue), ("place", run.place)):
        if value:
            facts.append((name, safe(value)))
    if run.exception:
        facts.append(("exception", safe(raised(run))))
    facts += [(name, safe(text)) for name, text in details.items()]
    if traceback is not None:
        shown = "\n".join(f"  {safe(line)}" for line in traceback.split("\n"))
        return f"{_lines(facts)}\n{shown}\n"
    why = "the monitor keeps tracebacks with history_details = message,traceback"
    return _lines(facts) + (_lines([("traceback", f"{UNKNOWN}  {why}")]) if run.exception else "")


def verdict_text(look: Look) -> str:
    """Return every problem, and what is not known."""
    problems = [f"  {safe(problem)}" for problem in look.problems] or ["  nothing is wrong"]
    notes = ["", "TO KNOW", *(f"  {safe(note)}" for note in look.notes)] if look.notes else []
    return "\n".join([*problems, *notes, ""])
