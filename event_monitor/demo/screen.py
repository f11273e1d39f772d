"""Screen: shows the demo live in a terminal, or as plain lines where there is none (CI)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .cloudwatch import Reading, percentile
from .ledger import Truth
from .processes import Process, ProcessState
from .verdict import PER_TASK, Comparison, Verdict

__all__ = ["Screen", "View"]

_COUNTED = {"succeeded": "TasksSucceeded", "failed": "TasksFailed", "retried": "TasksRetried"}
_COLOURS = {
    ProcessState.STARTING: "yellow",
    ProcessState.READY: "green",
    ProcessState.STOPPED: "dim",
    ProcessState.KILLED: "bold red",
}


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see at one moment."""

    seconds: float  # since the demo began
    now: str  # what happens, in one sentence
    processes: tuple[Process, ...]
    truth: Truth
    reading: Reading


class Screen:
    """Shows views while the ``with`` block lasts; the last one stays."""

    def __init__(self, console: Console, *, title: str, command: str) -> None:
        self._console = console
        self._head = Group(Text(title, style="bold"), Text(command, style="dim"), Text())
        self._live: Live | None = None
        self._said = ("", 0, "")  # in plain lines: what happens, how many shots, the death

    def __enter__(self) -> Screen:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(self._head, console=self._console, auto_refresh=False)
            self._live.start()
        else:
            self._console.print(self._head, soft_wrap=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, view: View) -> None:
        """Draw the view; without a terminal, print a line if there is news."""
        if self._live:
            self._live.update(Group(self._head, *_draw(view)), refresh=True)
            return
        now, shots, death = self._said
        self._said = (view.now, view.reading.sum("MonitorHeartbeat"), _death(view.reading))
        if self._said[0] != now:
            self._print_line(view.seconds, view.now)
        if self._said[1] != shots:
            self._print_line(view.seconds, f"  CloudWatch: {_totals(view)}")
        if self._said[2] != death:
            self._print_line(view.seconds, f"  CloudWatch: {_death(view.reading)}")

    def _print_line(self, seconds: float, text: str) -> None:
        self._console.print(f"{seconds:5.1f} s  {text}", soft_wrap=True)


def _draw(view: View) -> Iterable[RenderableType]:
    processes = Table.grid(padding=(0, 2))
    for one in view.processes:
        state = Text(one.state.value, style=_COLOURS[one.state])
        processes.add_row(one.name, Text(f"pid {one.pid}", style="dim"), state)
    yield processes
    yield _task_table(view)
    yield Text(f" {_totals(view)}")
    yield Text(f" {_death(view.reading)}", style="bold red")
    yield Text.assemble(("▸ ", "cyan"), view.now, (f"  {view.seconds:.0f} s", "dim"))


def _task_table(view: View) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, header_style="dim")  # 79 columns wide
    table.add_column("in CloudWatch", min_width=18)
    for heading in (*_COUNTED, "ran p50", "ran p95", "wait p50", "wait p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in sorted(view.truth.tasks):
        table.add_row(name, *_numbers(view.reading, TaskName=name))
    table.add_section()
    table.add_row("all tasks", *_numbers(view.reading))
    return table


def _numbers(reading: Reading, **dimensions: str) -> Iterable[str]:
    for metric in _COUNTED.values():
        yield f"{reading.sum(metric, **dimensions)}"
    for metric in ("TaskRuntime", "TaskQueueTime"):
        for rank in (50, 95):
            yield _seconds(percentile(reading.values(metric, **dimensions), rank))


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _totals(view: View) -> str:
    online = view.reading.latest("WorkersOnline")
    runtimes = view.reading.values("TaskRuntime")
    ran = " / ".join(_seconds(percentile(runtimes, rank)) for rank in (50, 95))
    return (
        f"{view.reading.sum('TasksStarted')} of {view.truth.total('started')} runs have arrived"
        f" · p50 / p95 {ran} · workers online {'?' if online is None else round(online)}"
    )


def _death(reading: Reading) -> str:
    dead = [
        name
        for name in reading.split_by("WorkerName")
        if reading.sum("WorkersLost", WorkerName=name)
    ]
    if not dead:
        return ""
    orphans = reading.sum("TasksOrphaned")
    return f"WorkersLost: {', '.join(dead)} has died; TasksOrphaned: {orphans} was running there"


def verdict_tables(verdict: Verdict) -> Iterable[RenderableType]:
    """The summary: what happened beside what was counted."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="dim")
    table.add_column("metric", min_width=24)
    table.add_column("happened", justify="right")
    table.add_column("in CloudWatch", justify="right")
    table.add_column("")
    for metric, one in verdict.totals.items():
        table.add_row(metric, str(one.happened), str(one.counted), _mark(one))
    yield table
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="dim")
    table.add_column("per TaskName", min_width=18)
    for heading in PER_TASK.values():
        table.add_column(heading, justify="right")
    for name, row in verdict.tasks.items():
        table.add_row(name, *(_cell(row[metric]) for metric in PER_TASK))
    yield table


def _mark(one: Comparison) -> Text:
    return Text("✓", style="green") if one.agrees else Text("✗", style="bold red")


def _cell(one: Comparison) -> Text:
    if one.agrees:
        return Text.assemble((f"{one.counted} ", "" if one.counted else "dim"), ("✓", "green"))
    return Text(f"{one.counted} ≠ {one.happened} ✗", style="bold red")
