"""Pages: what a browser is shown. Each is whole without its script, which only keeps it fresh."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ..errors import UnavailableError
from ..history import MINUTE, STATES, Reader, Run, long_runs
from ..metrics.levels import Level
from ..text import error_line
from .aside import Aside
from .judge import Judge
from .overview import (
    HOUR_SECONDS,
    LastHour,
    Overview,
    changes_of,
    chart_of,
    is_overdue,
    problems_of,
    queue_chart_of,
)
from .past import Past
from .query import limit_of, moment_of, number_of, run_filter_of
from .rows import queue_rows, worker_rows
from .tracebacks import parts_of
from .views import View, Views
from .words import FILTERS, ended_links, url_maker

__all__ = ["Pages"]

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SHOWN_ROWS = 200
_SHOWN_RUNS = 50
_SPANS = (("1h", "last hour"), ("1d", "last day"), ("7d", "last week"), ("", "all"))

Values = dict[str, Any]


class Pages:
    """Answers people. ``routes`` says to what; what may wait is done ``aside``."""

    def __init__(self, views: Views, past: Past, judge: Judge, aside: Aside) -> None:
        self._views = views
        self._judge = judge
        self._settings = views.settings
        self._past = past
        self._aside = aside
        self._static = {
            file.name: file.read_bytes()
            for file in files(__package__).joinpath("static").iterdir()
            if _type_of(file.name)
        }
        # A new version of the program has other addresses, so that no browser shows an old one.
        version = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:12]
        self._templates = Environment(
            loader=PackageLoader(__package__ or ""),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(
            url=url_maker(self._settings.http_prefix),
            version=version,
            namespace=self._settings.namespace,
            broker=_known_broker(views.broker),
            Level=Level,
            is_overdue=is_overdue,
        )

    def routes(self) -> list[Route]:
        """Return which path is answered by what."""
        pages: dict[str, Callable[[View, QueryParams], Values]] = {
            "": self._overview,
            "failures": self._failures,
            "tasks": self._tasks,
            "task": self._task,
            "queues": self._queues,
            "queue": self._queue,
            "workers": self._workers,
            "worker": self._worker,
            "schedules": self._schedules,
            "incidents": self._incidents,
        }
        return [
            *(Route(f"/{name}", partial(self._page, name, make)) for name, make in pages.items()),
            Route("/static/{name}", self._file),
        ]

    def refusal(
        self, sentence: str, status: int, *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return a page that says why there is no other."""
        return self._html("refusal.html", {"sentence": sentence}, status, headers=headers)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        body = self._static.get(name)
        if body is None:
            raise HTTPException(404, "there is no such file here")
        headers = {"Cache-Control": "private, max-age=86400"}
        return Response(body, headers=headers, media_type=_type_of(name))

    async def _page(
        self, name: str, make: Callable[[View, QueryParams], Values], request: Request
    ) -> Response:
        query = request.query_params

        def render() -> Response:
            view = self._views.view()
            judged = self._judge.judge(view)
            view = replace(view, since=judged.since)
            level, problems = problems_of(view, judged.verdict)
            values = {"view": view, "level": level, "problems": problems, "query": query}
            return self._html(f"{name or 'overview'}.html", {**values, **make(view, query)})

        return await self._aside.run(render)

    def _html(
        self,
        template: str,
        values: Values,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        page = template.removesuffix(".html")
        text = self._templates.get_template(template).render(page=page, **values)
        # A name may have a lone surrogate in it.
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers=headers)

    # -- each page's values ----------------------------------------------------------------------

    def _overview(self, view: View, _query: QueryParams) -> Values:
        last_hour, why = None, ""
        try:
            with self._past.reader() as reader:
                last_hour = LastHour.read(reader, view)
        except UnavailableError as error:
            why = error_line(error)
        return {"overview": Overview.of(view, self._settings, past=last_hour, why=why)}

    def _failures(self, view: View, query: QueryParams) -> Values:
        since = query.get("since", "1d")
        began = moment_of(query, "since", now=view.at) if "since" in query else view.at - 86_400
        with self._past.reader() as reader:
            groups = reader.failures(
                since=began,
                name=query.get("name") or None,
                limit=limit_of(query, usual=_SHOWN_ROWS),
            )
        return {"groups": groups, "since": since, "spans": _SPANS, "began": began}

    def _tasks(self, view: View, query: QueryParams) -> Values:
        states = query.getlist("state")
        values: Values = {
            "states": ("running", *STATES),
            "chosen": states,
            "running": None,
            "chart": None,
            "name": query.get("name", ""),
        }
        with self._past.reader() as reader:
            if states == ["running"]:
                values["running"] = [
                    task
                    for task in view.live.running
                    if _is_wanted(task.name, query.get("name"))
                    and _is_wanted(task.worker, query.get("worker"))
                    and query.get("text", "").lower() in f"{task.id} {task.name}".lower()
                ]
                long = long_runs(values["running"], at=view.live.taken_at, reader=reader)
                return {**values, "long": {run.task.id: run for run in long}}
            wanted = run_filter_of(_without(query, "state", "running"), now=view.at)
            page = reader.runs(
                wanted,
                before=number_of(query, "before"),
                limit=limit_of(query, usual=_SHOWN_RUNS),
            )
            if not (wanted.states or wanted.worker or wanted.text or wanted.exception):
                values["chart"] = self._chart(
                    reader, view, name=wanted.name, queue=wanted.queue if not wanted.name else None
                )
            kept = reader.kept(since=wanted.since or 0.0)
        rest = {key: query.getlist(key) for key in query if key != "before"}
        url = url_maker(self._settings.http_prefix)
        return {
            **values,
            "runs": page.runs,
            "next": page.next,
            "older": url("tasks", **rest, before=page.next),
            "newest": url("tasks", **rest),
            "kept": kept,
        }

    def _task(self, view: View, query: QueryParams) -> Values:
        task_id = query.get("id", "")
        with self._past.reader() as reader:
            runs = reader.task(task_id)
            children = reader.children(task_id, limit=_SHOWN_RUNS)
            family = reader.family(task_id, limit=_SHOWN_RUNS)
        running = next((task for task in view.live.running if task.id == task_id), None)
        if not runs and running is None:
            raise HTTPException(
                404, "nothing is known of this task: it has not ended, or was not kept"
            )
        last = runs[-1] if runs else None
        name = last.name if last else running.name if running else None
        worker = last.worker if last else running.worker if running else None
        texts = {"id": task_id, "name": name, "worker": worker}
        texts |= {
            "queue": last.queue if last else None,
            "exception": last.exception if last else None,
        }
        return {
            "task_id": task_id,
            "name": name,
            "running": running,
            "runs": [_Told(run) for run in reversed(runs)],
            "links": ended_links(self._settings.http_links, texts),
            "parent": last.parent if last else None,
            "root": last.root if last else None,
            "children": children,
            "descendants": [run for run in family if task_id not in (run.id, run.parent)],
        }

    def _queues(self, view: View, query: QueryParams) -> Values:
        text = query.get("text", "").lower()
        rows = [
            row
            for row in queue_rows(view.snapshot, self._settings)
            if text in row.queue.name.lower()
        ]
        limit = limit_of(query, usual=_SHOWN_ROWS)
        survey = view.snapshot.survey if view.snapshot else None
        return {
            "rows": rows[:limit],
            "more": len(rows) - limit,
            "known": survey is not None and survey.queues is not None,
            "age": survey.queues_age_seconds if survey else None,
        }

    def _queue(self, view: View, query: QueryParams) -> Values:
        name = query.get("name", "")
        rows = [row for row in queue_rows(view.snapshot, self._settings) if row.queue.name == name]
        snapshot = view.snapshot
        tasks = []
        if snapshot is not None:
            tasks = [
                (task, counts)
                for task, queue, counts in snapshot.window.by_task_and_queue
                if queue == name
            ]
        if not rows and not tasks:
            raise HTTPException(404, "nothing is known of this queue")
        seconds = snapshot.window.closed_at - snapshot.window.opened_at if snapshot else 0.0
        chart, why = None, ""
        try:
            with self._past.reader() as reader:
                since = view.at - HOUR_SECONDS
                points = reader.queue_points(MINUTE, name=name, since=since, until=view.at + 1)
                chart = queue_chart_of(points, now=view.at)
        except UnavailableError as error:
            why = error_line(error)
        return {
            "name": name,
            "row": rows[0] if rows else None,
            "readers": [row for row in worker_rows(snapshot) if name in (row.answer.queues or ())],
            "tasks": sorted(tasks, key=lambda pair: -(pair[1].received or pair[1].sent)),
            "seconds": max(1.0, seconds),
            "chart": chart,
            "why": why,
        }

    def _workers(self, view: View, query: QueryParams) -> Values:
        text, state = query.get("text", "").lower(), query.get("state", "")
        rows = [
            row
            for row in worker_rows(view.snapshot)
            if text in row.worker.hostname.lower() and (not state or row.state == state)
        ]
        limit = limit_of(query, usual=_SHOWN_ROWS)
        return {
            "rows": rows[:limit],
            "more": len(rows) - limit,
            "states": ("online", "lost", "stalled", "draining", "offline"),
            "chosen": state,
        }

    def _worker(self, view: View, query: QueryParams) -> Values:
        name = query.get("name", "")
        rows = [row for row in worker_rows(view.snapshot) if row.worker.hostname == name]
        runs: tuple[Run, ...] = ()
        incidents, why = [], ""
        try:
            with self._past.reader() as reader:
                runs = reader.runs(
                    run_filter_of(QueryParams({"worker": name}), now=view.at), limit=_SHOWN_RUNS
                ).runs
                incidents = [
                    incident
                    for incident in reader.incidents(since=view.at - 24 * HOUR_SECONDS, limit=1_000)
                    if incident.subject == name
                ]
        except UnavailableError as error:
            why = error_line(error)
        if not rows and not runs and not incidents:
            raise HTTPException(404, "nothing is known of this worker")
        return {
            "name": name,
            "row": rows[0] if rows else None,
            "running": [task for task in view.live.running if task.worker == name],
            "runs": runs,
            "changes": changes_of(incidents, ()),
            "why": why,
        }

    def _schedules(self, view: View, _query: QueryParams) -> Values:
        scheduled = view.snapshot.scheduled if view.snapshot else ()
        return {"scheduled": sorted(scheduled, key=lambda task: (not is_overdue(task), task.name))}

    def _incidents(self, view: View, query: QueryParams) -> Values:
        with self._past.reader() as reader:
            incidents = reader.incidents(
                since=moment_of(query, "since", now=view.at) or 0.0,
                only_open=query.get("open", "") == "1",
                limit=limit_of(query, usual=_SHOWN_ROWS),
            )
        return {"changes": list(zip(changes_of(incidents, ()), incidents, strict=True))}

    def _chart(self, reader: Reader, view: View, *, name: str | None, queue: str | None) -> Any:
        points = reader.task_points(
            MINUTE,
            name=name or "",
            queue=queue or "",
            since=view.at - HOUR_SECONDS - MINUTE,
            until=view.at + 1,
        )
        return chart_of(points, now=view.at)


class _Told:
    """A run as its page tells it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.details = {name: text for name, text in run.details if name != "traceback"}
        traceback = dict(run.details).get("traceback")
        self.traceback = parts_of(traceback) if traceback else ()

    @property
    def steps(self) -> list[tuple[str, float, float | None]]:
        """Return what happened to it, when, and how long after the step before."""
        run = self.run
        ended = run.ended if run.ended is not None else run.at
        times = (
            ("sent", run.sent),
            ("received", run.received),
            ("started", run.started),
            (run.state, ended),
        )
        steps: list[tuple[str, float, float | None]] = []
        for what, at in times:
            if at is not None:
                steps.append((what, at, at - steps[-1][1] if steps else None))
        return steps


def _known_broker(url: str) -> str:
    """Return the URL, unless its scheme is a class of Python's, which says nothing to people."""
    return "" if ":" in url.partition("://")[0] else url


def _type_of(name: str) -> str | None:
    return next((kind for suffix, kind in _TYPES.items() if name.endswith(suffix)), None)


def _is_wanted(value: str | None, wanted: str | None) -> bool:
    return not wanted or value == wanted


def _without(query: QueryParams, name: str, value: str) -> QueryParams:
    return QueryParams([pair for pair in query.multi_items() if pair != (name, value)])
