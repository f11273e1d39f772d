"""Suites: the runs that each option of ``scripts/bench`` stands for, printed as they finish."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from .brokers import BATCHES, Broker, running
from .measure import Result, measure
from .rows import OURS_MINUTELY, OURS_QUIET, ROWS, Row
from .stream import Spec
from .subject import ROOT
from .table import fixed_rates, full_speed, goals, loss, paired, us_per_event
from .wire import Recorded, record

_WARM_EVENTS = 20_000
_RATES, _RATE_SECONDS = (20_000, 50_000), 10
LOSS_RATE, _LOSS_SECONDS = 50_000, 60
_SCALING_EVENTS = 300_000
_WORKERS, _NAMES = (10, 500, 5_000), (10, 500, 2_000)  # instead of 50 and 40
# 2,000 × 5 pairs, and 40,000 tasks of four events and a bit a minute.
_PAIRED_NAMES, _PAIRED_QUEUES, _PAIRED_RATE, _PAIRED_SECONDS = 2_000, 5, 2_800, 150
_QUICK_FRACTION = 5  # so much less of everything


def compare(brokers: tuple[str, ...], only: str, *, rounds: int, quick: bool) -> bool:
    """Run all rows at full speed, then at fixed rates. Return whether ours lost nothing."""
    costs: dict[str, dict[str, float]] = {}
    ours: list[Result] = []
    for name in brokers:
        rows = [row for row in _rows(name, only, quick=quick) if not (quick and row.is_slow)]
        most = max(row.events for row in rows)
        if not quick:
            most = max(most, max(_RATES) * _RATE_SECONDS)
        with prepared(name, Spec(batch=BATCHES[name]), most) as (broker, stream):
            results: dict[str, list[Result]] = {row.name: [] for row in rows}
            for _ in range(rounds):
                for row in rows:
                    results[row.name].append(measure(row, name, broker=broker, stream=stream))
            show(full_speed(name, results))
            costs[name] = {row: us_per_event(found) for row, found in results.items()}
            ours += [result for row in rows if row.is_ours for result in results[row.name]]
            if not quick:
                paced = list(_paced(rows, name, broker, stream))
                show(fixed_rates(name, paced))
    show(goals(costs))
    return not any(result.lost or result.wrong for result in ours)


def pair(other: Path, brokers: tuple[str, ...], *, only: str, rounds: int, quick: bool) -> bool:
    """Run this checkout and another one in turn. Return whether this one lost nothing.

    Each ratio is of two runs that follow each other, so a machine that changes its mind about its
    speed does not look like a difference.
    """
    every: list[Result] = []
    for name in brokers:
        rows = [row for row in _rows(name, only, quick=quick) if row.is_ours]
        most = max((row.events for row in rows), default=0)
        with prepared(name, Spec(batch=BATCHES[name]), most) as (broker, stream):
            for row in rows:
                pairs: list[tuple[Result, Result]] = []
                for _ in range(rounds):
                    this, that = (
                        measure(row, name, broker=broker, stream=stream, checkout=checkout)
                        for checkout in (ROOT, other)
                    )
                    pairs.append((this, that))
                show(paired(name, row.name, pairs))
                every += [this for this, _ in pairs]
    return not any(result.lost or result.wrong for result in every)


def lose(rate: int) -> bool:
    """Send at this rate for a minute on Redis, with its limits. Return whether all counted."""
    events = LOSS_RATE * _LOSS_SECONDS
    with prepared("redis", Spec(batch=BATCHES["redis"]), events) as (broker, stream):
        row = next(row for row in ROWS if row.is_ours)
        result = measure(
            row,
            "redis",
            broker=broker,
            stream=stream,
            rate=rate,
            seconds=_LOSS_SECONDS,
        )
    show(
        f"{result.name}, Redis, {rate:,} events/s for {_LOSS_SECONDS} s: "
        f"sent {result.sent:,}, lost {loss([result])}; "
        f"{100 * result.cpu_seconds / result.wall_seconds:.0f} % of a core, "
        f"peak {result.peak_mb:.0f} MB, grown by {result.grown_mb:.1f} MB"
    )
    return not result.lost and not result.wrong


def scale(rounds: int) -> bool:
    """Measure the cost of an event as the fleet grows, without shots. Return whether all counted.

    All take turns in each round, and each is compared with the default within the round: so a
    machine that changes its mind about its speed does not look like a cost. Then the memory where
    there are many pairs of task and queue.
    """
    default = Spec(batch=BATCHES["redis"])
    specs = [default, *(replace(default, workers=number) for number in _WORKERS)]
    specs += [replace(default, names=number) for number in _NAMES]
    row = replace(OURS_QUIET, events=_SCALING_EVENTS)
    results: dict[Spec, list[Result]] = {spec: [] for spec in specs}
    with contextlib.ExitStack() as stack:
        fleets = {spec: stack.enter_context(prepared("redis", spec, row.events)) for spec in specs}
        for _ in range(rounds):
            for spec, (broker, stream) in fleets.items():
                results[spec].append(measure(row, "redis", broker=broker, stream=stream))
    for spec, found in results.items():
        pairs = zip(found, results[default], strict=True)
        times = median(us_per_event([result]) / us_per_event([usual]) for result, usual in pairs)
        show(
            f"{spec.workers:>5,} workers, {spec.names:>5,} names: "
            f"{us_per_event(found):.2f} us/event, {times:.2f} times the first, "
            f"{median(result.peak_mb for result in found):.0f} MB, lost {loss(found)}",
            end="\n",
        )
    every = [result for found in results.values() for result in found]
    every.append(_many_pairs())
    return not any(result.lost or result.wrong for result in every)


def _many_pairs() -> Result:
    """Measure the memory where each pair of task and queue has some tasks in each minute."""
    spec = replace(Spec(batch=BATCHES["redis"]), names=_PAIRED_NAMES, queues=_PAIRED_QUEUES)
    events = _PAIRED_RATE * _PAIRED_SECONDS
    with prepared("redis", spec, events) as (broker, stream):
        result = measure(
            *(OURS_MINUTELY, "redis"),
            broker=broker,
            stream=stream,
            rate=_PAIRED_RATE,
            seconds=_PAIRED_SECONDS,
        )
    show(
        f"{spec.names:,} names on {spec.queues} queues, {_PAIRED_RATE:,} events/s for "
        f"{_PAIRED_SECONDS} s: peak {result.peak_mb:.1f} MB, lost {loss([result])}"
    )
    return result


def _rows(broker: str, only: str, *, quick: bool) -> list[Row]:
    """Return the rows to run on that broker."""
    return [
        replace(row, events=row.events // _QUICK_FRACTION) if quick else row
        for row in ROWS
        if broker in row.brokers and any(part in row.name for part in only.split(","))
    ]


def _paced(
    rows: list[Row], name: str, broker: Broker, stream: Recorded
) -> Iterator[tuple[int, Result]]:
    for rate in _RATES:
        for row in rows:
            if row.is_paced:
                yield (
                    rate,
                    measure(
                        row,
                        name,
                        broker=broker,
                        stream=stream,
                        rate=rate,
                        seconds=_RATE_SECONDS,
                    ),
                )


@contextlib.contextmanager
def prepared(name: str, spec: Spec, events: int) -> Iterator[tuple[Broker, Recorded]]:
    """Start a broker and record a stream for it, of ``events`` after the warm-up."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        with running(name, folder) as broker:
            yield broker, record(spec, name, events + _WARM_EVENTS, folder / "stream")


def show(text: str, *, end: str = "\n\n") -> None:
    """Print this, if there is anything."""
    if text:
        print(text, end=end, flush=True)  # noqa: T201  it is what the command is for
