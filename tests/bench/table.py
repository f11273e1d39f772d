"""Table: results as plain text, side by side, with the ratios that matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from .measure import Result

FLOORS = {"redis": "bare-socket floor", "rabbitmq": "raw kombu consumer"}
STATE = "Celery State camera"
OURS = "event-monitor run"
_TITLES = {"redis": "Redis", "rabbitmq": "RabbitMQ"}
_NAME_COLUMN = 24

Rounds = Sequence[Result]  # of one row, on one broker


def us_per_event(rounds: Rounds) -> float:
    """Return the median of the CPU time of an event, in microseconds."""
    return median(result.cpu_seconds / result.events * 1e6 for result in rounds)


def loss(rounds: Iterable[Result]) -> str:
    """Return the losses as text; "0" when there are none in any round."""
    results = tuple(rounds)
    found = [f"LOST {result.lost:,}" for result in results if result.lost]
    found += [f"WRONG {result.wrong}" for result in results if result.wrong]
    return "; ".join(found) or "0"


def full_speed(broker: str, rows: Mapping[str, Rounds]) -> str:
    """Return a broker's table of runs at full speed."""
    costs = {name: us_per_event(rounds) for name, rounds in rows.items()}
    state, floor = costs.get(STATE), costs.get(FLOORS[broker])
    lines = [
        (
            f"{_TITLES[broker]}, full speed",
            *(
                "us/event",
                "best",
                "events/CPU-s",
                "events/s",
                "peak MB",
                "start s",
                "x State",
                "% floor",
            ),
            "lost",
        )
    ]
    for name, rounds in rows.items():
        cost = costs[name]
        lines.append(
            (
                name,
                f"{cost:.2f}",
                f"{min(result.cpu_seconds / result.events * 1e6 for result in rounds):.2f}",
                f"{1e6 / cost:,.0f}",
                f"{median(result.events / result.wall_seconds for result in rounds):,.0f}",
                f"{max(result.peak_mb for result in rounds):.0f}",
                f"{median(result.ready_seconds for result in rounds):.2f}",
                f"{state / cost:.1f}" if state else "-",
                f"{100 * floor / cost:.0f}" if floor else "-",
                loss(rounds),
            )
        )
    return _aligned(lines)


def paired(broker: str, row: str, pairs: Sequence[tuple[Result, Result]]) -> str:
    """Return the table of one row: this checkout, another one, and the ratios by round."""
    columns = [
        (
            *(us_per_event([this]), us_per_event([that])),
            us_per_event([this]) / us_per_event([that]),
            *(this.ready_seconds, that.ready_seconds),
            this.ready_seconds / that.ready_seconds,
        )
        for this, that in pairs
    ]
    columns.append(tuple(map(median, zip(*columns, strict=True))))
    titles = [*(f"round {number}" for number in range(1, len(pairs) + 1)), "median"]
    losses = [f"{loss([this])} / {loss([that])}" for this, that in pairs]
    losses.append(f"{loss(this for this, _ in pairs)} / {loss(that for _, that in pairs)}")
    return _aligned(
        [
            (
                f"{_TITLES[broker]}, {row}",
                *("us/event", "other", "ratio"),
                *("start s", "other", "ratio"),
                "lost",
            ),
            *(
                (title, *(f"{number:.3f}" for number in numbers), lost)
                for title, numbers, lost in zip(titles, columns, losses, strict=True)
            ),
        ]
    )


def fixed_rates(broker: str, results: Iterable[tuple[int, Result]]) -> str:
    """Return a broker's table of runs at fixed rates: who keeps up."""
    lines = [
        (f"{_TITLES[broker]}, fixed rate", "events/s", "% of a core", "peak MB", "lost %", "lost")
    ]
    for rate, result in results:
        lines.append(
            (
                result.name,
                f"{rate:,}",
                "died" if result.died else f"{100 * result.cpu_seconds / result.wall_seconds:.0f}",
                "-" if result.died else f"{result.peak_mb:.0f}",
                f"{100 * result.lost / result.sent:.1f}",
                loss([result]),
            )
        )
    return _aligned(lines)


def goals(costs: dict[str, dict[str, float]]) -> str:
    """Return the goals, and whether they are reached; ``costs`` in us by broker and row."""
    wanted = {"redis": (300_000, 12, 55), "rabbitmq": (200_000, 6, 70)}
    lines: list[tuple[str, ...]] = [("Goals", "events/CPU-s", "x State", "% floor")]
    for broker, (speed, times, percent) in wanted.items():
        found = costs.get(broker, {})
        ours, state, floor = (found.get(name) for name in (OURS, STATE, FLOORS[broker]))
        if ours and state and floor:
            pairs = ((1e6 / ours, speed), (state / ours, times), (100 * floor / ours, percent))
            verdicts = (
                f"{is_:,.0f} of {goal:,} {'ok' if is_ >= goal else 'MISSED'}" for is_, goal in pairs
            )
            lines.append((_TITLES[broker], *verdicts))
    return _aligned(lines) if len(lines) > 1 else ""


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """Return the lines with names to the left and numbers to the right of their columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[0] = max(widths[0], _NAME_COLUMN)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
