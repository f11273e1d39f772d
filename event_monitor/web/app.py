"""App: which path answers what."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from .aside import Aside, Busy
from .documents import (
    MOST_ITEMS,
    Document,
    encoded,
    live_document,
    queues_document,
    running_document,
    status_document,
    workers_document,
)
from .exposition import OPENMETRICS, TEXT, wants_openmetrics
from .frames import Frames
from .views import View, Views

__all__ = ["make_app"]

_COMMENT_SECONDS = 15.0  # proxies cut off what is silent for longer


def make_app(views: Views, aside: Aside) -> Starlette:
    """Return the ASGI app; what may wait is done ``aside``, so that the loop never waits."""
    endpoints = _Endpoints(views, aside)
    routes = [
        Route("/health", endpoints.health),
        Route("/metrics", endpoints.metrics),
        Route("/api/v1/openapi.json", endpoints.openapi),
        Route("/api/v1/status", endpoints.status),
        Route("/api/v1/workers", endpoints.workers),
        Route("/api/v1/queues", endpoints.queues),
        Route("/api/v1/running", endpoints.running),
        Route("/api/v1/live", endpoints.live),
    ]
    app = Starlette(routes=routes, exception_handlers={Busy: _busy, HTTPException: _sentence})
    app.router.redirect_slashes = False
    return app


class _Endpoints:
    def __init__(self, views: Views, aside: Aside) -> None:
        self._views = views
        self._settings = views.settings
        self._aside = aside
        self._frames = Frames(lambda: aside.run(lambda: encoded(live_document(views.view()))))

    async def health(self, _request: Request) -> Response:
        problem = self._views.problem()
        return PlainTextResponse(f"{problem or 'healthy'}\n", 503 if problem else 200)

    async def metrics(self, request: Request) -> Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        client = request.client.host if request.client else ""
        scraper = f"{client} {request.headers.get('user-agent', '')[:200]}"
        text = await self._aside.run(
            lambda: self._views.metrics(scraper=scraper, openmetrics=openmetrics)
        )
        content_type = OPENMETRICS if openmetrics else TEXT
        return Response(text, headers={"Content-Type": content_type})

    async def openapi(self, _request: Request) -> Response:
        text = files(__package__).joinpath("openapi.json").read_bytes()
        return Response(text, media_type="application/json")

    async def status(self, _request: Request) -> Response:
        return await self._answer(lambda view: status_document(view, self._settings))

    async def workers(self, request: Request) -> Response:
        after, limit = _page_of(request)
        return await self._answer(
            lambda view: workers_document(view, self._settings, after=after, limit=limit)
        )

    async def queues(self, request: Request) -> Response:
        after, limit = _page_of(request)
        return await self._answer(
            lambda view: queues_document(view, self._settings, after=after, limit=limit)
        )

    async def running(self, _request: Request) -> Response:
        return await self._answer(running_document)

    async def live(self, request: Request) -> Response:
        headers = {"X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        stream = self._frames.watch(comment_seconds=_COMMENT_SECONDS)
        if stream is None:
            raise Busy
        return StreamingResponse(stream, headers=headers, media_type="text/event-stream")

    async def _answer(self, document: Callable[[View], Document]) -> Response:
        body = await self._aside.run(lambda: encoded(document(self._views.view())))
        return Response(body, media_type="application/json")


def _page_of(request: Request) -> tuple[str, int]:
    """Return after which name the page begins, and how long it is."""
    after, limit = request.query_params.get("after", ""), request.query_params.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST_ITEMS):
        raise HTTPException(400, f"limit must be from 1 to {MOST_ITEMS:,}")
    return after, int(limit)


async def _busy(_request: Request, _error: Exception) -> Response:
    return JSONResponse(
        {"error": "the monitor is busy; try again"}, 503, headers={"Retry-After": "5"}
    )


async def _sentence(_request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)  # it is called for no other
    return JSONResponse({"error": refusal.detail}, refusal.status_code, headers=refusal.headers)
