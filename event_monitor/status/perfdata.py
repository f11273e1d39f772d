"""Performance data: numbers after the `|` of a plugin's first line, as Nagios and Munin read them.

The format is that of the Nagios plugin development guidelines: 'label'=value[unit];warn;crit;min.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..metrics.levels import limits_for
from ..settings import Settings
from ..text import printable
from .report import Report

__all__ = ["perfdata"]

_MAX_QUEUES = 50  # Nagios reads 8 kB


def perfdata(report: Report, settings: Settings, *, min_workers: int) -> str:
    """Return the numbers that are known, separated by spaces; empty if none is."""
    return " ".join(_values(report, settings, min_workers=min_workers))


def _values(report: Report, settings: Settings, *, min_workers: int) -> Iterator[str]:
    if report.workers is not None:
        yield f"workers={len(report.workers)};;{min_workers}:;0"
        active = _sum(worker.active for worker in report.workers)
        room = _sum(worker.pool_processes for worker in report.workers)
        if active is not None and room is not None:
            yield f"active={active};;;0;{room}"
    ready = _sum(queue.ready for queue in report.queues or () if not queue.missing)
    if report.queues and ready is not None:
        yield f"waiting={ready};;;0"
    for queue in (report.queues or ())[:_MAX_QUEUES]:
        if queue.ready is not None:
            limits = limits_for(queue.name, settings.queue_length_limits)
            warning, critical = (f"{limit:g}" for limit in limits) if limits else ("", "")
            yield f"{_label(f'queue {queue.name}')}={queue.ready};{warning};{critical};0"
    if report.recent is not None:
        yield f"failed={report.recent.failed};;;0"
        if report.recent.success_rate is not None:
            yield f"success={report.recent.success_rate:.2f}%;;;0;100"


def _label(name: str) -> str:
    """Return a label in quotes, which takes neither these nor an equals sign."""
    return "'" + printable(name).translate({ord("'"): "_", ord("="): "_", ord("|"): "_"}) + "'"


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum; None if one is unknown: a part of it would look like all."""
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)
