"""Screen: shows the demo live in a terminal, or as plain lines where there is none (CI)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..text import printable
from .cloudwatch import Reading
from .ledger import GroundTruth
from .processes import Process, ProcessState
from .verdict import PER_TASK, Comparison, Verdict

__all__ = ["Screen", "View", "verdict_tables"]

_COUNTED = {"succeeded": "TasksSucceeded", "failed": "TasksFailed", "retried": "TasksRetried"}
_COLOURS = {
    ProcessState.STARTING: "yellow",
    ProcessState.READY: "green",
    ProcessState.STOPPED: "dim",
    ProcessState.KILLED: "bold red",
}


@dataclass(frozen=True, slots=True)
class View:
    """What the demo shows at one moment."""

    seconds: float  # since the demo began
    caption: str  # what happens, in one sentence
    processes: tuple[Process, ...]
    truth: GroundTruth
    reading: Reading


class Screen:
    """Shows views while the ``with`` block lasts; the last one stays.

    ``page`` is where a browser sees the same meanwhile.
    """

    def __init__(self, console: Console, *, title: str, command: str, page: str) -> None:
        self._console = console
        self._head = Group(
            Text(title, style="bold"),
            Text(command, style="dim"),
            Text.assemble("The page, while this plays: ", (page, "cyan underline")),
            Text(f"In another terminal: {_program()} top --url {page}", style="dim"),
            Text(),
        )
        self._live: Live | None = None
        # What the plain lines have said: the caption, how many snapshots arrived, the loss.
        self._printed = ("", 0, "")

    def __enter__(self) -> Screen:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(self._head, console=self._console, auto_refresh=False)
            self._live.start()
        else:
            self._console.print(self._head, soft_wrap=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, view: View) -> None:
        """Draw the view; without a terminal, print a line if there is news."""
        if self._live:
            self._live.update(Group(self._head, *_draw(view)), refresh=True)
            return
        last_caption, last_snapshots, last_loss = self._printed
        snapshots, loss = view.reading.sum("MonitorHeartbeat"), _loss(view.reading)
        self._printed = (view.caption, snapshots, loss)
        if view.caption != last_caption:
            self._print_line(view.seconds, view.caption)
        if snapshots != last_snapshots:
            self._print_line(view.seconds, f"  CloudWatch: {_totals(view)}")
        if loss != last_loss:
            self._print_line(view.seconds, f"  CloudWatch: {loss}")

    def _print_line(self, seconds: float, text: str) -> None:
        self._console.print(f"{seconds:5.1f} s  {text}", soft_wrap=True)


def _program() -> str:
    """Return how this program was called."""
    called = sys.argv[0]
    return called if Path(called).name == "event-monitor" else "event-monitor"


def _draw(view: View) -> Iterable[RenderableType]:
    processes = Table.grid(padding=(0, 2))
    for process in view.processes:
        state = Text(process.state.value, style=_COLOURS[process.state])
        processes.add_row(process.name, Text(f"pid {process.pid}", style="dim"), state)
    yield processes
    yield _task_table(view)
    yield Text(f" {_totals(view)}")
    yield Text(f" {_loss(view.reading)}", style="bold red")
    yield Text.assemble(("▸ ", "cyan"), view.caption, (f"  {view.seconds:.0f} s", "dim"))


def _task_table(view: View) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, header_style="dim")  # 79 columns wide
    table.add_column("in CloudWatch", min_width=18)
    for heading in (*_COUNTED, "ran p50", "ran p95", "wait p50", "wait p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in sorted(view.truth.tasks):
        table.add_row(name, *_cells(view.reading, TaskName=name))
    table.add_section()
    table.add_row("all tasks", *_cells(view.reading))
    return table


def _cells(reading: Reading, **dimensions: str) -> Iterable[str]:
    for metric in _COUNTED.values():
        yield f"{reading.sum(metric, **dimensions)}"
    for metric in ("TaskRuntime", "TaskQueueTime"):
        for percent in (50, 95):
            yield _seconds(reading.percentile(metric, percent, **dimensions))


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _totals(view: View) -> str:
    workers = view.reading.latest("WorkersOnline")
    online = "?" if workers is None else round(workers)
    p50, p95 = (view.reading.percentile("TaskRuntime", percent) for percent in (50, 95))
    return (
        f"{view.reading.sum('TasksStarted')} of {view.truth.total('started')} runs have arrived"
        f" · p50 / p95 {_seconds(p50)} / {_seconds(p95)} · workers online {online}"
    )


def _loss(reading: Reading) -> str:
    lost = [
        name
        for name in reading.split_by("WorkerName")
        if reading.sum("WorkersLost", WorkerName=name)
    ]
    if not lost:
        return ""
    orphans = reading.sum("TasksOrphaned")
    names = ", ".join(map(printable, lost))
    return f"WorkersLost: {names} has died; TasksOrphaned: {orphans} was running there"


def verdict_tables(verdict: Verdict) -> Iterable[RenderableType]:
    """Yield the summary: what happened beside what was counted."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="dim")
    table.add_column("metric", min_width=24)
    table.add_column("happened", justify="right")
    table.add_column("in CloudWatch", justify="right")
    table.add_column("")
    for metric, total in verdict.totals.items():
        table.add_row(metric, str(total.happened), str(total.counted), _mark(total))
    yield table
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="dim")
    table.add_column("per TaskName", min_width=18)
    for heading in PER_TASK.values():
        table.add_column(heading, justify="right")
    for name, row in verdict.tasks.items():
        table.add_row(name, *(_compared(row[metric]) for metric in PER_TASK))
    yield table


def _mark(comparison: Comparison) -> Text:
    return Text("✓", style="green") if comparison.agrees else Text("✗", style="bold red")


def _compared(comparison: Comparison) -> Text:
    counted = comparison.counted
    if comparison.agrees:
        return Text.assemble((f"{counted} ", "" if counted else "dim"), ("✓", "green"))
    return Text(f"{counted} ≠ {comparison.happened} ✗", style="bold red")
