"""Past: a history of so many runs, and what it takes to read it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from event_monitor.history import FILE_NAME, HOUR, MINUTE, Reader, RunFilter
from event_monitor.history.batch import Batch, Row, group_of
from event_monitor.history.store import Store
from event_monitor.settings import Settings
from event_monitor.snapshot import EndedTask, Live, Snapshot, TaskCounts, Window
from event_monitor.survey import QueueDepth, Survey
from event_monitor.web import Web

from ..support.servers import free_port
from ..support.waiting import wait_until
from .viewers import PAGES, Client, Took, took

_DAY = 86_400.0
_NAMES, _POINT_NAMES, _WORKERS, _QUEUES = 200, 20, 100, 10
_ROWS_AT_ONCE = 10_000
_MEGABYTES = 4_000
_ROUNDS = 20
_SERVED_SECONDS = 10.0
_PAGES = (
    *dict.fromkeys(PAGES),
    *("/tasks?text=nowhere", "/tasks?name=shop.tasks.job_7", f"/task?id={7:036d}"),
    *("/worker?name=celery@host-7", "/queue?name=queue-7", f"/api/v1/tasks/{7:036d}"),
    *("/api/v1/series?span=hour", "/api/v1/series?name=shop.tasks.job_7&since=1d"),
)


def fill(state_dir: Path, runs: int) -> None:
    """Write so many runs of the last day, some of which descend from others, and its minutes."""
    rng = random.Random(4)
    end = time.time()
    state_dir.mkdir(mode=0o700)
    store = Store.open(str(state_dir / FILE_NAME), Settings(), max_bytes=_MEGABYTES * 1_000_000)
    for first in range(0, runs, _ROWS_AT_ONCE):
        batch = Batch()
        for number in range(first, min(runs, first + _ROWS_AT_ONCE)):
            task = _ended(rng, number, ended=end - _DAY * (1 - number / runs))
            batch.rows.append(Row(task.ended, task, task.how))
            batch.ended[task.how] += 1
            if task.how == "failed":
                batch.count_failure(task, group_of(task), at=task.ended)
        store.write(batch, now=batch.rows[-1].at)
    for minute in range(int(_DAY // 60)):
        at = (end - _DAY) // 60 * 60 + minute * 60
        store.write(Batch(snapshots=[_snapshot(at)]), now=at)
    store.close()


def _ended(rng: random.Random, number: int, *, ended: float) -> EndedTask:
    how = rng.choices(("succeeded", "failed", "retried", "revoked"), (90, 5, 4, 1))[0]
    has_raised = how in ("failed", "retried")
    kind = rng.randrange(20)
    root = f"{rng.randrange(number // 10 + 1):036d}" if rng.random() < 0.3 else None
    return EndedTask(
        id=f"{number:036d}",
        name=f"shop.tasks.job_{rng.randrange(_NAMES)}",
        how=how,  # type: ignore[arg-type]  # one of those
        ended=ended,
        queue=f"queue-{rng.randrange(_QUEUES)}",
        worker=f"celery@host-{rng.randrange(_WORKERS)}",
        sent=ended - 2,
        received=ended - 1.5,
        started=ended - 1,
        runtime=rng.random(),
        exception=f"Error{kind}" if has_raised else None,
        place=f"/app/shop/tasks.py:{kind} in job" if has_raised else None,
        root=root,
        parent=root,
    )


def _snapshot(at: float) -> Snapshot:
    counts = TaskCounts(sent=10, received=10, started=10, succeeded=9, failed=1)
    tasks = tuple((f"shop.tasks.job_{number}", counts) for number in range(_POINT_NAMES))
    queues = tuple((f"queue-{number}", counts) for number in range(_QUEUES))
    depths = tuple(QueueDepth(name, ready=3) for name, _ in queues)
    window = Window(at, at + 60, tasks=tasks, by_queue=queues)
    return Snapshot(window, survey=Survey(queues=depths))


def queries(state_dir: Path) -> list[Took]:
    """Return how long the reader takes for each kind of question; the slowest last."""
    now = time.time()
    with Reader.open(state_dir / FILE_NAME) as reader:
        last = reader.runs(limit=1).runs[0].id
        asked: dict[str, Callable[[], object]] = {
            "newest": reader.runs,
            "failed": partial(reader.runs, RunFilter(states=("failed",))),
            "of a name": partial(reader.runs, RunFilter(name="shop.tasks.job_7")),
            "of a worker": partial(reader.runs, RunFilter(worker="celery@host-7")),
            "of a queue": partial(reader.runs, RunFilter(queue="queue-7")),
            "of an hour": partial(reader.runs, RunFilter(until=now - _DAY / 2)),
            "text, rare": partial(reader.runs, RunFilter(text="nowhere")),
            "failed, text, rare": partial(
                reader.runs, RunFilter(states=("failed", "retried"), text="nowhere")
            ),
            "one task": partial(reader.task, last),
            "family": partial(reader.family, f"{7:036d}"),
            "children": partial(reader.children, f"{7:036d}"),
            "failures of a day": partial(reader.failures, since=now - _DAY),
            "incidents": reader.incidents,
            "an hour's minutes": partial(reader.task_points, MINUTE, since=now - 3_600, until=now),
            "a day's minutes of a name": partial(
                reader.task_points, MINUTE, name="shop.tasks.job_7", since=now - _DAY, until=now
            ),
            "a day's hours by name": partial(
                reader.task_points, HOUR, name=None, since=now - _DAY, until=now
            ),
            "kept": reader.kept,
        }
        found = [
            took(what, [_milliseconds(ask) for _ in range(_ROUNDS)]) for what, ask in asked.items()
        ]
    return sorted(found, key=lambda one: one.p95)


def _milliseconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return 1_000 * (time.perf_counter() - began)


def pages(state_dir: Path) -> list[Took]:
    """Return how long pages and answers take that are made of this history; the slowest last."""
    now, port = time.time(), free_port()
    live = Live(taken_at=now, opened_at=now)
    web = Web(
        Settings(http=f"127.0.0.1:{port}", history=True, state_dir=str(state_dir)),
        peek=lambda: live,
        problem=lambda: None,
        accepted_at=lambda: now,
        history=lambda: Reader.open(state_dir / FILE_NAME),
        broker="",
        default_queue="celery",
    )
    web(_snapshot(now - 60))
    web.open()
    client = Client(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _is_served(client), _SERVED_SECONDS, "the page is served")
        found = [took(path, [client.ask(path) for _ in range(_ROUNDS)]) for path in _PAGES]
    finally:
        client.close()
        web.close()
    return sorted(found, key=lambda one: one.p95)


def _is_served(client: Client) -> bool:
    try:
        return client.ask("/health") > 0
    except OSError:
        return False
