"""Query: what a request asks for, out of its query string. Bad values get one sentence and 400."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from ..history import HOUR, MINUTE, STATES, RunFilter, Span
from ..moments import parse_moment, parse_seconds

__all__ = ["MOST_ITEMS", "limit_of", "moment_of", "number_of", "run_filter_of", "span_of"]

MOST_ITEMS = 1_000  # of a list in one answer

_MOST_TEXT = 1_000  # characters of one value


def limit_of(query: QueryParams, *, usual: int = 100) -> int:
    """Return how many are wanted."""
    limit = query.get("limit", str(usual))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST_ITEMS):
        raise HTTPException(400, f"limit must be from 1 to {MOST_ITEMS:,}")
    return int(limit)


def number_of(query: QueryParams, name: str) -> int | None:
    """Return a whole number that another answer gave; None if there is none."""
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HTTPException(400, f"{name} must be what another answer gave to go on with")
    return int(text)


def moment_of(query: QueryParams, name: str, *, now: float) -> float | None:
    """Return a time: ``2h`` ago, ISO 8601, or seconds since the epoch; None if there is none."""
    text = query.get(name, "").strip()
    if not text:
        return None
    seconds = parse_seconds(text)
    # Nobody asks for what was ten years ago by its distance in seconds.
    is_epoch = seconds is not None and seconds > now / 4 and text[-1] not in "smhd"
    moment = seconds if is_epoch else parse_moment(text, now=now)
    if moment is None:
        raise HTTPException(
            400, f"{name} must be a time, such as 2h (ago), 2026-01-31T12:00 or 1769860800"
        )
    return moment


def span_of(query: QueryParams) -> Span:
    """Return how long a point of a series is: a minute, if nothing is said."""
    text = query.get("span", "minute")
    if text not in ("minute", "hour"):
        raise HTTPException(400, "span must be minute or hour")
    return MINUTE if text == "minute" else HOUR


def run_filter_of(query: QueryParams, *, now: float) -> RunFilter:
    """Return which runs are wanted; ``state`` may be there several times."""
    states = tuple(dict.fromkeys(state for state in query.getlist("state") if state))
    for state in states:
        if state not in STATES:
            raise HTTPException(400, f"state must be one of {', '.join(STATES)}")
    texts = {
        name: query[name][:_MOST_TEXT]
        for name in ("name", "worker", "queue", "exception", "place", "text")
        if query.get(name)
    }
    return RunFilter(
        states=states,
        since=moment_of(query, "since", now=now),
        until=moment_of(query, "until", now=now),
        **texts,
    )
