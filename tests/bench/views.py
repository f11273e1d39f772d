"""Views: what history, page, JSON and scrapes cost, printed as it is found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from .brokers import BATCHES
from .measure import Result, measure
from .past import fill, pages, queries
from .rows import OURS_VIEWED, ROWS, Row
from .scrapes import scrape
from .stream import Spec
from .suites import prepared, show
from .table import loss
from .viewers import Took

_RATE, _SECONDS = 50_000, 30
_FAST_RATE, _FAST_SECONDS = 200_000, 60
_FAST_STREAM = 3_000_000  # events, sent again and again
_AT_THE_CAP = 2_000  # task names, which have more lines than a page may
_NAMES_OF_2_000_LINES = 33
_RUNS = 1_000_000


def view(rounds: int) -> bool:
    """Measure all of it on Redis. Return whether nothing was lost nor miscounted."""
    every = [*_compared(rounds), *_fast(), *_at_the_cap()]
    for names in (_NAMES_OF_2_000_LINES, _AT_THE_CAP):
        lines, milliseconds = scrape(names)
        show(f"a scrape of {lines:,} lines takes {milliseconds:.1f} ms of CPU time")
    _read()
    return not any(result.lost or result.wrong or result.died for result in every)


def _compared(rounds: int) -> list[Result]:
    """Send at a fixed rate to ours without and with views, in turn."""
    rows = (next(row for row in ROWS if row.is_ours), OURS_VIEWED)
    results: dict[str, list[Result]] = {row.name: [] for row in rows}
    with prepared("redis", Spec(batch=BATCHES["redis"]), _RATE * _SECONDS) as (broker, stream):
        for _ in range(rounds):
            for row in rows:
                result = measure(
                    row, "redis", broker=broker, stream=stream, rate=_RATE, seconds=_SECONDS
                )
                results[row.name].append(result)
                _show_result(result, _RATE)
    without, viewed = (
        (median(map(_percent, found)), median(result.peak_mb for result in found))
        for found in results.values()
    )
    _show_looks(results[OURS_VIEWED.name][-1].looks)
    show(
        f"views and viewers cost {viewed[0] - without[0]:+.1f} % of a core and "
        f"{viewed[1] - without[1]:+.0f} MB (medians)"
    )
    return [result for found in results.values() for result in found]


def _fast() -> list[Result]:
    """Send as much as there may ever be."""
    spec = Spec(batch=BATCHES["redis"])
    return _sent_once(spec, OURS_VIEWED, _FAST_STREAM, rate=_FAST_RATE, seconds=_FAST_SECONDS)


def _at_the_cap() -> list[Result]:
    """Send events of so many names that a page for Prometheus has all the lines it may have."""
    spec = Spec(batch=BATCHES["redis"], names=_AT_THE_CAP)
    return _sent_once(spec, OURS_VIEWED, _RATE * _SECONDS, rate=_RATE, seconds=_SECONDS)


def _sent_once(spec: Spec, row: Row, events: int, *, rate: int, seconds: int) -> list[Result]:
    with prepared("redis", spec, events) as (broker, stream):
        result = measure(row, "redis", broker=broker, stream=stream, rate=rate, seconds=seconds)
    _show_result(result, rate, names=spec.names)
    _show_looks(result.looks)
    return [result]


def _read() -> None:
    """Read a history of a million runs, by itself and through the page."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        state_dir = Path(folder) / "state"
        began = time.monotonic()
        fill(state_dir, _RUNS)
        seconds = time.monotonic() - began
        show(f"a history of {_RUNS:,} runs, written in {seconds:.0f} s; read from it:")
        _show_looks(queries(state_dir))
        show("and through HTTP:")
        _show_looks(pages(state_dir))


def _percent(result: Result) -> float:
    return 100 * result.cpu_seconds / result.wall_seconds


def _show_result(result: Result, rate: int, *, names: int = 40) -> None:
    show(
        f"{result.name:28} {rate:,} events/s, {names:,} names: sent {result.sent:,}, "
        f"lost {loss([result])}; {_percent(result):.1f} % of a core, peak {result.peak_mb:.0f} MB",
        end="\n",
    )


def _show_looks(looks: Sequence[Took]) -> None:
    for look in looks:
        show(
            f"    {look.path:28} {look.answers:>4} answers, median {look.median:6.1f} ms, "
            f"p95 {look.p95:6.1f} ms",
            end="\n",
        )
