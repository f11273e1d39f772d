"""Words: how numbers, times and links stand on the page. Filters and functions of the templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from urllib.parse import quote, urlencode

from markupsafe import Markup

from ..history import FailureGroup, Run
from ..quantities import UNKNOWN, duration, size, took

__all__ = ["FILTERS", "count", "ended_links", "url_maker"]

_MOST_LINKS = 2_000
_FORMATS = {"clock": "%H:%M", "second": "%H:%M:%S", "full": "%Y-%m-%d %H:%M:%S"}


def count(value: float | None) -> str:
    """Return a count, or a rate with as many decimals as tell something."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 or value == 0 else f"{value:.2g}"


def moment(at: float | None, how: str = "clock") -> str:
    """Return a time in UTC; the page shows it by the clock of whoever looks."""
    if at is None:
        return UNKNOWN
    try:
        date = datetime.fromtimestamp(at, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return UNKNOWN
    # Nothing in it has to be escaped, and a page has hundreds: `Markup.format` looks at each part.
    iso = f"{date:%Y-%m-%dT%H:%M:%S.%fZ}"
    return Markup(f'<time datetime="{iso}" data-how="{how}">{date:{_FORMATS[how]}}</time>')  # noqa: S704


def short(task_id: str) -> str:
    """Return an id's beginning, by which people tell two apart."""
    return task_id if len(task_id) <= 13 else f"{task_id[:8]}…"


def place(full: str) -> str:
    """Return where something was raised, with the file and its folder only."""
    path, colon, rest = full.partition(":")
    return "/".join(path.replace("\\", "/").split("/")[-2:]) + colon + rest


def raised(what: Run | FailureGroup) -> str:
    """Return an exception's class and message, each once."""
    exception, message = what.exception or UNKNOWN, what.message
    if not message or message.startswith(exception):
        return message or exception
    return f"{exception}: {message}"


_TONES = {"succeeded": "ok", "retried": "warn", "revoked": "warn"}
_TONES |= dict.fromkeys(("failed", "orphaned", "rejected"), "bad")


def tone(state: str) -> str:
    """Return the class of a run's state in the style sheet."""
    return _TONES.get(state, "")


FILTERS: dict[str, Callable[..., str]] = {
    "count": count,
    "duration": duration,
    "moment": moment,
    "place": place,
    "raised": raised,
    "short": short,
    "size": size,
    "tone": tone,
    "took": took,
}


def url_maker(prefix: str) -> Callable[..., str]:
    """Return what makes links: ``url("tasks", state="failed")``; what is None or empty is left out.

    Names of queues, workers and tasks are in the query: a path may not be ``..``.
    """

    def url(page: str, /, **query: object) -> str:
        pairs = tuple(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in query.items()
            if value not in (None, "", (), [])
        )
        return f"{prefix}/{page}?{_encoded(pairs)}" if pairs else f"{prefix}/{page}"

    return url


@lru_cache(maxsize=_MOST_LINKS, typed=True)  # the same lists are shown again and again
def _encoded(pairs: tuple[tuple[str, object], ...]) -> str:
    return urlencode(pairs, doseq=True, errors="replace")


def ended_links(
    links: tuple[tuple[str, str], ...], values: dict[str, str | None]
) -> list[tuple[str, str]]:
    """Return the links whose placeholders all have a value, with these put in."""
    made = []
    for name, link in links:
        used = [key for key in values if f"{{{key}}}" in link]
        if any(values[key] is None for key in used):
            continue
        for key in used:
            link = link.replace(f"{{{key}}}", quote(values[key] or "", safe="", errors="replace"))
        made.append((name, link))
    return made
