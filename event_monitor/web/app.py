"""App: which path answers what, and how it is said that something cannot be answered."""

from __future__ import annotations

from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..errors import UnavailableError
from ..text import error_line
from .api import Api
from .aside import Aside, Busy
from .judge import Judge
from .pages import Pages
from .past import NoHistoryError, Past
from .views import Views

__all__ = ["make_app"]


def make_app(views: Views, past: Past, aside: Aside) -> Starlette:
    """Return the ASGI app; what may wait is done ``aside``, so that the loop never waits."""
    judge = Judge(views.settings, past)
    pages = Pages(views, past, judge, aside)
    app = Starlette(
        routes=[*Api(views, past, judge, aside).routes(), *pages.routes()],
        exception_handlers=dict.fromkeys((Busy, HTTPException, UnavailableError), _Refusal(pages)),
    )
    app.router.redirect_slashes = False
    return app


class _Refusal:
    """Says why a request is not answered: in JSON to programs, on a page to people."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def __call__(self, request: Request, error: Exception) -> Response:
        status, sentence, headers = _said(error)
        if request.url.path.startswith(("/api/", "/metrics", "/health")):
            return JSONResponse({"error": sentence}, status, headers=headers)
        return self._pages.refusal(sentence, status, headers=headers)


def _said(error: Exception) -> tuple[int, str, dict[str, str] | None]:
    if isinstance(error, Busy):
        return 503, "the monitor is busy; try again", {"Retry-After": "5"}
    if isinstance(error, NoHistoryError):
        return 404, error_line(error), None
    if isinstance(error, UnavailableError):
        return 503, error_line(error), {"Retry-After": "5"}
    refusal = cast("HTTPException", error)  # it is called for no other
    sentence = "there is no such page here" if refusal.detail == "Not Found" else refusal.detail
    return refusal.status_code, sentence, cast("dict[str, str] | None", refusal.headers)
