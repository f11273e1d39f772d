"""API: ``/health``, ``/metrics`` and ``/api/v1``. ``openapi.json`` describes the latter."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ..history import Reader
from ..snapshot import Role
from .aside import Aside, Busy
from .documents import (
    Document,
    encoded,
    live_document,
    queues_document,
    running_document,
    schedules_document,
    status_document,
    workers_document,
)
from .exposition import OPENMETRICS, TEXT, wants_openmetrics
from .frames import Frames
from .history_documents import (
    failures_document,
    first_moment,
    incidents_document,
    series_document,
    task_document,
    tasks_document,
)
from .judge import Judge
from .past import Past
from .query import limit_of, moment_of, number_of, run_filter_of, span_of
from .views import View, Views

__all__ = ["Api"]

_COMMENT_SECONDS = 15.0  # proxies cut off what is silent for longer
_JSON = "application/json"


class Api:
    """Answers programs. ``routes`` says to what; what may wait is done ``aside``."""

    def __init__(self, views: Views, past: Past, judge: Judge, aside: Aside) -> None:
        self._views = views
        self._judge = judge
        self._settings = views.settings
        self._past = past
        self._aside = aside
        self._frames = Frames(lambda: aside.run(lambda: encoded(live_document(views.view()))))

    def routes(self) -> list[Route]:
        """Return which path is answered by what."""
        return [
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/api/v1/openapi.json", self._openapi),
            Route("/api/v1/status", self._status),
            Route("/api/v1/workers", self._workers),
            Route("/api/v1/queues", self._queues),
            Route("/api/v1/running", self._running),
            Route("/api/v1/schedules", self._schedules),
            Route("/api/v1/tasks", self._tasks),
            Route("/api/v1/tasks/{id:path}", self._task),
            Route("/api/v1/failures", self._failures),
            Route("/api/v1/incidents", self._incidents),
            Route("/api/v1/series", self._series),
            Route("/api/v1/live", self._live),
        ]

    # -- now -------------------------------------------------------------------------------------

    async def _health(self, _request: Request) -> Response:
        problem = self._views.problem()
        healthy = "healthy, standby" if self._views.role() is Role.STANDBY else "healthy"
        second = self._views.second()
        if second:  # to start this one again would not help
            healthy = f"{healthy}, but a second monitor publishes the same: {second}"
        return PlainTextResponse(f"{problem or healthy}\n", 503 if problem else 200)

    async def _metrics(self, request: Request) -> Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        client = request.client.host if request.client else ""
        scraper = f"{client} {request.headers.get('user-agent', '')[:200]}"
        text = await self._aside.run(
            lambda: self._views.metrics(scraper=scraper, openmetrics=openmetrics)
        )
        content_type = OPENMETRICS if openmetrics else TEXT
        return Response(text, headers={"Content-Type": content_type})

    async def _openapi(self, _request: Request) -> Response:
        text = files(__package__).joinpath("openapi.json").read_bytes()
        return Response(text, media_type=_JSON)

    async def _status(self, _request: Request) -> Response:
        return await self._now(lambda view: status_document(view, self._judge.judge(view)))

    async def _workers(self, request: Request) -> Response:
        after, limit = request.query_params.get("after", ""), limit_of(request.query_params)
        return await self._now(lambda view: workers_document(view, after=after, limit=limit))

    async def _queues(self, request: Request) -> Response:
        after, limit = request.query_params.get("after", ""), limit_of(request.query_params)
        return await self._now(
            lambda view: queues_document(view, self._settings, after=after, limit=limit)
        )

    async def _running(self, _request: Request) -> Response:
        return await self._now(running_document)

    async def _schedules(self, _request: Request) -> Response:
        return await self._now(schedules_document)

    async def _live(self, request: Request) -> Response:
        headers = {"X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        stream = self._frames.watch(comment_seconds=_COMMENT_SECONDS)
        if stream is None:
            raise Busy
        return StreamingResponse(stream, headers=headers, media_type="text/event-stream")

    # -- what is over ----------------------------------------------------------------------------

    async def _tasks(self, request: Request) -> Response:
        query, at = request.query_params, self._views.now()
        wanted, limit = run_filter_of(query, now=at), limit_of(query)
        before = number_of(query, "before")
        return await self._then(
            lambda reader: tasks_document(reader, wanted, before=before, limit=limit, at=at)
        )

    async def _task(self, request: Request) -> Response:
        task_id = request.path_params["id"]

        def document(reader: Reader) -> Document:
            found = task_document(reader, self._views.view(), task_id)
            if found is None:
                raise HTTPException(404, "nothing is known of this task")
            return found

        return await self._then(document)

    async def _failures(self, request: Request) -> Response:
        query, at = request.query_params, self._views.now()
        since, limit = moment_of(query, "since", now=at), limit_of(query)
        name = query.get("name")
        return await self._then(
            lambda reader: failures_document(reader, since=since, name=name, limit=limit, at=at)
        )

    async def _incidents(self, request: Request) -> Response:
        query, at = request.query_params, self._views.now()
        since, limit = moment_of(query, "since", now=at) or 0.0, limit_of(query)
        only_open = query.get("open", "") in ("1", "true")
        return await self._then(
            lambda reader: incidents_document(
                reader, since=since, only_open=only_open, limit=limit, at=at
            )
        )

    async def _series(self, request: Request) -> Response:
        query, at = request.query_params, self._views.now()
        span = span_of(query)
        since = moment_of(query, "since", now=at)
        until = moment_of(query, "until", now=at)
        name, queue = query.get("name"), query.get("queue")
        if name and queue:
            raise HTTPException(400, "say name or queue, not both")
        return await self._then(
            lambda reader: series_document(
                reader,
                span,
                name=name,
                queue=queue,
                since=first_moment(span, now=at) if since is None else since,
                until=at + 1.0 if until is None else until,
                at=at,
            )
        )

    async def _now(self, document: Callable[[View], Document]) -> Response:
        body = await self._aside.run(lambda: encoded(document(self._views.view())))
        return Response(body, media_type=_JSON)

    async def _then(self, document: Callable[[Reader], Document]) -> Response:
        def answer() -> bytes:
            with self._past.reader() as reader:
                return encoded(document(reader))

        return Response(await self._aside.run(answer), media_type=_JSON)
