"""History text: what the history has, as JSON for programs and as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone

from ..history import FailureGroup, Incident, Kept, Page, Reader, Run, RunFilter
from ..quantities import UNKNOWN, duration, took
from ..text import aligned, printable
from .terminal import width

__all__ = ["HistoryText"]

_Answer = tuple[dict[str, object], list[str]]
_LATE_SECONDS = 10.0  # after a shot, until it is written
_FEWEST_CHARACTERS = 6  # of an id's beginning
_MOST_IDS = 10  # that begin so
_TIMES = ("sent", "received", "started", "ended")


class HistoryText:
    """Asks a reader, and returns a document for JSON, and lines."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def runs(self, wanted: RunFilter, *, before: int | None, limit: int) -> _Answer:
        """Return the newest runs, and how many there were in all."""
        page = self._reader.runs(wanted, before=before, limit=limit)
        while page.next is not None and len(page.runs) < limit:  # it has looked at enough at once
            more = self._reader.runs(wanted, before=page.next, limit=limit - len(page.runs))
            page = Page((*page.runs, *more.runs), more.next)
        kept = self._reader.kept(since=wanted.since or 0.0)
        document: dict[str, object] = {
            "runs": [_document(run) for run in page.runs],
            "before": page.next,
            "kept": [asdict(one) for one in kept],
        }
        lines = [line for run in page.runs for line in _short(run)]
        if not page.runs:
            lines.append("no such task was kept" if kept else "nothing has ended yet")
        if page.next is not None:
            lines.append(f"more: --before {page.next}")
        lines += ["", _coverage(kept)] if kept else []
        return document, lines

    def task(self, task_id: str) -> _Answer:
        """Return all runs of one task that were kept, and those of its children.

        The beginning of an id is enough, where only one begins so.
        """
        runs, others = self._reader.task(task_id), tuple[str, ...]()
        if not runs and len(task_id) >= _FEWEST_CHARACTERS:
            others = self._reader.ids(task_id, limit=_MOST_IDS)
            if len(others) == 1:
                (task_id,), others = others, ()
                runs = self._reader.task(task_id)
        children = self._reader.children(task_id)
        lines = [line for run in runs for line in _long(run)]
        if others:
            lines = [f"several tasks begin with {printable(task_id)}:"]
            lines += [f"  {printable(other)}" for other in others]
        elif not runs:
            lines = [f"no run of {printable(task_id)} was kept"]
        if children:
            lines += ["children", *(f"  {line}" for run in children for line in _short(run)), ""]
        document: dict[str, object] = {
            "runs": [_document(run) for run in runs],
            "children": [_document(run) for run in children],
        }
        return document, lines

    def failures(self, wanted: RunFilter, *, limit: int) -> _Answer:
        """Return the groups of failures."""
        groups = self._reader.failures(since=wanted.since, name=wanted.name, limit=limit)
        text = (wanted.text or "").lower()
        groups = tuple(group for group in groups if text in _searched(group))
        table = aligned(
            ("count", "recently", "first", "last", "what"),
            map(_failure_row, groups),
            width=width(most=160),
            sides="rr",
        )
        shown = table.splitlines() if groups else ["nothing has failed"]
        return {"failures": [asdict(group) for group in groups]}, shown

    def incidents(
        self, *, since: float, limit: int, now: float, interval_seconds: float
    ) -> _Answer:
        """Return what was wrong. A monitor that runs writes once an interval what still is."""
        incidents = self._reader.incidents(since=since, limit=limit)
        fresh_from = now - interval_seconds - _LATE_SECONDS
        rows = (_incident_row(incident, now, fresh_from=fresh_from) for incident in incidents)
        table = aligned(("began", "lasted", "what"), rows, width=width(most=160))
        shown = table.splitlines() if incidents else ["no incident"]
        return {"incidents": [asdict(incident) for incident in incidents]}, shown


def _document(run: Run) -> dict[str, object]:
    return {**asdict(run), "details": dict(run.details)}


def _short(run: Run) -> Iterator[str]:
    """Yield a line for a run, and one for what it raised."""
    cells = (
        _time(run.ended if run.ended is not None else run.at),
        f"{run.state:<9}",
        f"{took(run.runtime):>8}",
        run.id,
        run.name or UNKNOWN,
        f"on {run.worker or UNKNOWN}",
    )
    yield printable(" ".join(cells))
    if run.exception is not None:
        yield printable(f"    {_raised(run)}")


def _raised(run: Run | FailureGroup) -> str:
    what = run.message if run.message is not None else run.exception or UNKNOWN
    return f"{what} at {run.place}" if run.place else what


def _long(run: Run) -> Iterator[str]:
    """Yield all that is known of a run."""
    yield printable(f"{run.name or UNKNOWN} {run.id}")
    facts: list[tuple[str, str]] = [("state", run.state)]
    facts += [("worker", run.worker or UNKNOWN), ("queue", run.queue or UNKNOWN)]
    facts += [(name, _time(getattr(run, name))) for name in _TIMES]
    facts.append(("took", took(run.runtime)))
    facts.append(("retries", str(run.retries)))
    facts += [
        (name, relative)
        for name, relative in (("parent", run.parent), ("root", run.root))
        if relative is not None
    ]
    if run.exception is not None:
        facts += [("exception", run.exception), ("place", run.place or UNKNOWN)]
    if run.message is not None:
        facts.append(("message", run.message))
    if run.weight != 1:
        facts.append(("stands for", f"{run.weight:,.0f} like it"))
    for name, value in facts:
        yield f"  {name:<10} {printable(value)}"
    for name, text in run.details:
        yield f"  {name}"
        yield from (f"    {printable(line)}" for line in text.splitlines())
    yield ""


def _failure_row(group: FailureGroup) -> tuple[str, ...]:
    counts = (f"{group.count:,}", f"{group.recent:,}")
    what = f"{group.name}: {_raised(group)}; last {group.last_id}"
    return (*counts, _time(group.first_at), _time(group.last_at), printable(what))


def _incident_row(incident: Incident, now: float, *, fresh_from: float) -> tuple[str, ...]:
    if incident.ended is not None:
        lasted = duration(max(0.0, incident.ended - incident.began))
    elif incident.seen >= fresh_from:
        lasted = f"{duration(max(0.0, now - incident.began))}, still"
    else:  # whether it is over nobody has written down since
        lasted = f"still at {_time(incident.seen)}"
    what = " ".join(filter(None, (incident.kind, incident.subject)))
    if incident.tasks:
        what += f" ({incident.tasks:,})"
    if incident.named:
        what += f": {', '.join(incident.named)}"
    return _time(incident.began), lasted, printable(what)


def _searched(group: FailureGroup) -> str:
    parts = (group.name, group.exception, group.place, group.message or "", group.last_id)
    return "\n".join(parts).lower()


def _coverage(kept: Iterable[Kept]) -> str:
    """Return how much of what ended was kept, in words."""
    parts = [
        f"all {one.ended:,} {one.state}"
        if one.kept >= one.ended
        else f"{one.kept:,} of {one.ended:,} {one.state}"
        for one in kept
    ]
    return f"kept: {', '.join(parts)}"


def _time(moment: float | None) -> str:
    if moment is None:
        return UNKNOWN
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
