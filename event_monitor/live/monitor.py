"""Monitor: looks through the JSON API of a running monitor."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import UnionType
from typing import Any, TypeVar, cast, overload
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import SettingsError, UnavailableError
from ..exchange import Exchange
from ..history import (
    HOUR,
    MINUTE,
    FailureGroup,
    Incident,
    QueuePoint,
    Run,
    Span,
    TaskPoint,
    long_runs,
)
from ..pool import bounded_pool
from ..settings import Credentials, Settings
from ..snapshot import RunningTask, WorkerStatus
from ..survey import QueueDepth, WorkerAnswer
from ..text import one_line
from ..web.overview import HOUR_SECONDS, changes_of, chart_of, queue_chart_of
from ..web.rows import QueueRow, Tone
from .look import Look, RunningRow, queue_rows, worker_rows

__all__ = ["Monitor", "NoMonitorError"]

_TIMEOUT_SECONDS = 4.0
_PAGE = 1_000  # the most that the API gives at once
_MOST_PAGES = 10
_HISTORY_SECONDS = 5.0  # between two looks at failures and incidents
_SERIES_SECONDS = 20.0  # between two looks at series, whose points are minutes
_MOST_TRENDS = 20  # queues; a request each
_MOST_NAMES = 10  # of tasks that run, whose usual runtime is asked for; a request each
_MOST_CHANGES = 50
_WORST: dict[Tone, int] = {"bad": 0, "warn": 1}
_TONES: dict[object, Tone] = {"critical": "bad", "warning": "warn"}

Document = Mapping[str, object]
Value = TypeVar("Value")


class NoMonitorError(UnavailableError):
    """No monitor answers there."""


class _RefusedError(UnavailableError):
    """The monitor answers with a sentence instead: no history, no such task, or busy."""


class Monitor:
    """A monitor at a URL such as ``http://127.0.0.1:9808``; see ``Source``. Connects when asked.

    Raises ``NoMonitorError`` where none answers, and ``SettingsError`` where it refuses the
    credentials, or there are none.
    """

    def __init__(
        self, url: str, *, credentials: Credentials | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.where = url.rstrip("/")
        self._pool = bounded_pool(
            timeout_seconds=_TIMEOUT_SECONDS,
            headers={"Accept": "application/json", **_authorization(credentials)},
        )
        self._clock = clock
        self._kept: dict[str, tuple[float, object]] = {}  # what is asked for less often, and when
        self._settings = Settings()  # the limits of queues are the monitor's: it says the level

    def look(self) -> Look:
        """Ask for everything that is shown; see ``Source``."""
        try:
            return self._look()
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._is_none() from error

    def runs(self, task_id: str) -> tuple[Run, ...]:
        """Return the runs of a task; see ``Source``."""
        document = self._get(f"tasks/{quote(task_id, safe='', errors='replace')}")
        try:
            return tuple(map(_run, _items(document, "runs")))
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._is_none() from error

    def task_points(
        self, span: Span, *, name: str = "", since: float, until: float
    ) -> tuple[TaskPoint, ...]:
        """Return a series, as a reader of the history does, but that it may be a little old."""
        del until  # it is now

        def ask() -> tuple[TaskPoint, ...]:
            query = {"name": name} if name else {}
            how = "hour" if span == HOUR else "minute"
            document = self._get("series", span=how, since=f"{since:.0f}", **query)
            return tuple(_as(TaskPoint, item) for item in _items(document, "tasks"))

        return self._now_and_then(f"points {span} {name}", _SERIES_SECONDS, ask)

    # -- a look ----------------------------------------------------------------------------------

    def _look(self) -> Look:
        status = self._get("status")
        notes: list[str] = []
        problem = _as(str | None, cast("Document", status["monitor"])["problem"])
        problems = _as(tuple[str, ...], status["problems"])
        shot = cast("Document | None", status["shot"])
        look = Look(
            at=_as(float, status["at"]),
            level="unknown" if problem else _as(str, status["status"]),
            problems=(problem.rstrip("."), *problems) if problem else problems,
            since=_as(float | None, status["since"]),
            age_seconds=None if shot is None else _as(float, shot["age_seconds"]),
            per_minute=None if shot is None else _per_minute(shot),
        )
        look = self._with_history(look, notes)
        look = self._with_queues_and_workers(look, notes)
        notes += _doubts(look, events_lost=0 if shot is None else _as(int, shot["events_lost"]))
        return replace(self._with_running(look), notes=tuple(notes))

    def _with_history(self, look: Look, notes: list[str]) -> Look:
        since = look.at - HOUR_SECONDS
        try:
            failures = self._now_and_then("failures", _HISTORY_SECONDS, self._failures)
            incidents = self._now_and_then("incidents", _HISTORY_SECONDS, self._incidents)
            points = self.task_points(MINUTE, since=since, until=look.at)
        except _RefusedError as error:
            notes.append(f"failures and the last hour are unknown: {error}")
            return look
        new = [group for group in failures if group.first_at >= since]
        return replace(
            look,
            failures=failures,
            changes=tuple(changes_of(incidents, new))[:_MOST_CHANGES],
            chart=chart_of(points, now=look.at),
        )

    def _failures(self) -> tuple[FailureGroup, ...]:
        """Return the failures of the last hour, what is new before what is frequent."""
        document = self._get("failures", since="1h", limit=str(_PAGE))
        groups = [_as(FailureGroup, item) for item in _items(document)]
        since = _as(float, document["at"]) - HOUR_SECONDS
        return tuple(sorted(groups, key=lambda group: (group.first_at < since, -group.recent)))

    def _incidents(self) -> tuple[Incident, ...]:
        document = self._get("incidents", since="1d", limit="200")
        return tuple(_as(Incident, item) for item in _items(document))

    def _with_queues_and_workers(self, look: Look, notes: list[str]) -> Look:
        queues = list(self._pages("queues", notes))
        workers = list(self._pages("workers", notes))
        kept = self._kept.get("incidents")
        orphans: Counter[str] = Counter()
        for incident in cast("tuple[Incident, ...]", kept[1] if kept else ()):
            if incident.kind == "tasks-orphaned":
                orphans[incident.subject] += incident.tasks
        depths = {_as(str, item["name"]): _as(QueueDepth, item) for item in queues}
        levels = {_as(str, item["name"]): item["status"] for item in queues}
        if look.chart is not None:
            worst = self._queue_rows(depths.values(), levels)[:_MOST_TRENDS]
            points = {row.queue.name: self._queue_series(row.queue.name) for row in worst}
            for name, (tasks, _) in points.items():
                depths[name] = _with_rates(depths[name], tasks)
            look = replace(
                look,
                trends={name: queue_chart_of(of, now=look.at) for name, (_, of) in points.items()},
            )
        return replace(
            look,
            queues=self._queue_rows(depths.values(), levels),
            workers=worker_rows(
                [_as(WorkerStatus, item) for item in workers],
                # What is asked of a worker has another meaning of `processed`.
                [_as(WorkerAnswer, {**item, "processed": ()}) for item in workers],
                stalled=[_as(str, item["hostname"]) for item in workers if item["stalled"]],
                orphans=orphans,
            ),
        )

    def _queue_rows(
        self, depths: Iterable[QueueDepth], levels: Mapping[str, object]
    ) -> tuple[QueueRow, ...]:
        """Return the rows, the worst first. The limits are the monitor's, so it says the levels."""
        rows = [
            replace(row, tone=_TONES.get(levels[row.queue.name], row.tone))
            for row in queue_rows(depths, self._settings)
        ]
        return tuple(sorted(rows, key=lambda row: _WORST.get(row.tone, len(_WORST))))

    def _queue_series(self, queue: str) -> tuple[tuple[TaskPoint, ...], tuple[QueuePoint, ...]]:
        """Return the last hour of what came from a queue, and of the queue."""

        def ask() -> tuple[tuple[TaskPoint, ...], tuple[QueuePoint, ...]]:
            document = self._get("series", queue=queue)
            return (
                tuple(_as(TaskPoint, item) for item in _items(document, "tasks")),
                tuple(_as(QueuePoint, item) for item in _items(document, "queue")),
            )

        try:
            return self._now_and_then(f"queue {queue}", _SERIES_SECONDS, ask)
        except _RefusedError:
            return (), ()  # the history went away meanwhile

    def _with_running(self, look: Look) -> Look:
        document = self._get("running")
        at = _as(float, document["at"])
        tasks = [_as(RunningTask, item) for item in _items(document)]
        names = list(dict.fromkeys(task.name for task in tasks if task.name))[:_MOST_NAMES]
        long = {}
        if look.chart is not None:
            known = [task for task in tasks if task.name in names]
            with suppress(_RefusedError):  # the history went away meanwhile
                long = {run.task.id: run for run in long_runs(known, at=at, reader=self)}
        return replace(
            look,
            running_count=_as(int, document["count"]),
            running=tuple(
                RunningRow(
                    task,
                    max(0.0, at - task.since),
                    long[task.id].usual if task.id in long else self._usual(task.name),
                    too_long=task.id in long,
                )
                for task in tasks
            ),
        )

    def _usual(self, name: str | None) -> float | None:
        """Return how long 95 % of that name ran at most, if that was asked for already."""
        kept = self._kept.get(f"points {HOUR} {name}")
        points = cast("tuple[TaskPoint, ...]", kept[1] if kept else ())
        known = [point.runtime_p95 for point in points if point.runtime_p95 is not None]
        return max(known, default=None)

    # -- asking ----------------------------------------------------------------------------------

    def _now_and_then(self, what: str, seconds: float, ask: Callable[[], Value]) -> Value:
        """Return what was answered at most so many seconds ago, or ask."""
        now = self._clock.monotonic()
        kept = self._kept.get(what)
        if kept is not None and now - kept[0] < seconds:
            return cast("Value", kept[1])
        value = ask()
        for name, (asked_at, _) in list(self._kept.items()):
            if now - asked_at > 10 * _SERIES_SECONDS:  # a queue or a task name that is gone
                del self._kept[name]
        self._kept[what] = now, value
        return value

    def _pages(self, what: str, notes: list[str]) -> Iterator[Document]:
        after = ""
        for _ in range(_MOST_PAGES):
            document = self._get(what, after=after, limit=str(_PAGE))
            yield from _items(document)
            if document["next"] is None:
                return
            after = _as(str, document["next"])
        notes.append(
            f"only {_MOST_PAGES * _PAGE:,} of {_as(int, document['count']):,} {what} are shown"
        )

    def _get(self, path: str, **query: str) -> Document:
        text = urlencode(query, errors="replace")
        url = f"{self.where}/api/v1/{path}{'?' if text else ''}{text}"
        try:
            # Nothing is decompressed: a compressed answer was not asked for, and may be a bomb.
            answer = Exchange(2 * _TIMEOUT_SECONDS).run(
                lambda: self._pool.request("GET", url, decode_content=False, redirect=False)
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NoMonitorError(f"no monitor answers at {self.where}: {_why(error)}.") from error
        if answer.status in (401, 403):
            raise SettingsError(
                f"the monitor at {self.where} wants to know who asks (HTTP {answer.status}): give "
                "its http_auth, such as --http-auth basic:FILE."
            )
        try:
            document = json.loads(answer.data, parse_float=_finite, parse_constant=_finite)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self._is_none()
        if answer.status == 200:
            return document
        sentence = document.get("error")
        if not isinstance(sentence, str):
            raise self._is_none()
        raise _RefusedError(one_line(sentence))

    def _is_none(self) -> NoMonitorError:
        return NoMonitorError(
            f"what answers at {self.where} is no monitor that serves its page and its API."
        )


def _with_rates(queue: QueueDepth, points: Sequence[TaskPoint]) -> QueueDepth:
    """Return the queue with rates of its tasks' events where the broker tells none, as on Redis.

    They are those of the last minute that is over. Where no task-sent came, nothing is known.
    """
    if queue.arrivals_per_second is not None or not any(point.sent for point in points):
        return queue
    last = points[-2] if len(points) > 1 else points[-1]
    return replace(
        queue,
        arrivals_per_second=last.sent / MINUTE,
        deliveries_per_second=last.received / MINUTE,
    )


def _authorization(credentials: Credentials | None) -> dict[str, str]:
    """Return the header for the first of the secrets; none where a proxy would have to set it."""
    if credentials is None or not credentials.secrets:
        return {}
    secret = credentials.secrets[0]
    if credentials.scheme == "basic":
        return {"Authorization": f"Basic {b64encode(secret).decode()}"}
    return {"Authorization": f"Bearer {secret.decode('latin-1')}"}


def _why(error: BaseException) -> str:
    """Return what the first of these errors says, which the library's own ones wrap."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or one_line(error)


def _finite(text: str) -> float:
    """Return the number; ``ValueError`` for what the API never sends, such as 1e999 and NaN."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _doubts(look: Look, *, events_lost: int) -> Iterator[str]:
    """Yield what has to be known to believe these numbers, if there is anything."""
    if events_lost:
        yield f"{events_lost:,} events lost in the last window"
    mute = sum(not row.worker.sends_task_events for row in look.workers or () if row.is_online)
    if mute:
        yield f"{mute:,} {'worker sends' if mute == 1 else 'workers send'} no task events (-E)"
    queues = look.queues or ()
    known = sum(row.queue.oldest_seconds is not None or row.queue.ready == 0 for row in queues)
    if known < len(queues):
        yield f"ages known for {known:,} of {len(queues):,} queues"


def _per_minute(shot: Document) -> tuple[float, float]:
    seconds = max(1.0, _as(float, shot["closed_at"]) - _as(float, shot["opened_at"]))
    tasks = cast("Document", shot["tasks"])
    return (
        _as(int, tasks["succeeded"]) * 60 / seconds,
        _as(int, tasks["failed"]) * 60 / seconds,
    )


def _items(document: Document, key: str = "items") -> list[Document]:
    return cast("list[Document]", document[key])


def _run(item: Document) -> Run:
    details = _as(dict[str, str], item["details"])
    return _as(Run, {**item, "details": tuple(details.items())})


@overload
def _as(kind: type[Value], value: object) -> Value: ...
@overload
def _as(kind: UnionType, value: object) -> Any: ...
def _as(kind: Any, value: object) -> object:
    """Return the value as that type. Numbers beyond 2^53 come as text."""
    converted: object = msgspec.convert(value, kind, strict=False)
    return converted
