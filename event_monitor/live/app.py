"""App: the full screen of ``event-monitor top``: keys, sections, and what is opened over them."""

from __future__ import annotations

import threading
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.events import Resize
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import EventMonitorError
from ..quantities import duration, took
from ..text import error_line, one_line
from ..web.words import count
from .details import facts_of, runs_text, task_of, title_of, verdict_text
from .look import Look, Source
from .poller import Poller
from .section import Section
from .tables import TABLES
from .words import clock as clock_text
from .words import fitted, safe, shared, spark

__all__ = ["Top"]

_WIDE = 110  # columns: from here on sections stand beside each other
_TALL = 32  # lines: from here on there is room for more problems
_LOW = 20  # lines: below, sections stand below each other in any case
_MOST_PROBLEMS = 3  # lines, on a tall screen
_STYLES = {"critical": "bold red", "warning": "bold yellow", "ok": "bold green"}
_RATES = ("ok", "failed")
_KEYS = "1-5 section  Enter open  / filter  s sort  v verdict  p pause  ? help  q quit"

_HELP = """\
  1 2 3 4 5, Tab   go to a section; it has most of the room
  ↑ ↓, PgUp PgDn   choose a row, also Home and End, or the wheel
  Enter            open it: a failure or a task with its traceback, a worker,
                   a queue
  s, S             sort by the next column, turn the order round
  /                show only rows with a text in a name; Esc ends that
  v                every problem, and what is not known
  p                pause, and go on
  Esc, q           close what is open
  q, Ctrl-C        quit

  ! bad            ~ look at it            ? unknown            ▸ chosen

  At the top: the last hour of what succeeded and what failed; 95 % of the
  tasks waited no longer than p95.
  FAILURES  of the last hour; first those that are new in it
  CHANGES   what began, what ended, what failed for the first time
  QUEUES    the worst first; empty in: if all goes on as it does now
  WORKERS   the bad ones first; busy: of its pool; heard: so long ago
  RUNNING   the longest first; 95 % of its name ran no longer than p95
"""


class Looked(Message):
    """There is a look, or a sentence why there is none."""

    def __init__(self, look: Look | None, trouble: str) -> None:
        super().__init__()
        self.look = look
        self.trouble = trouble


class Sheet(ModalScreen[None]):
    """Something shown whole, over the sections; scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(Text(f" {self._title}", "reverse", no_wrap=True), id="title")
        with VerticalScroll(id="page"):
            yield Static(Text(self._text), id="text")
        yield Static(Text(" ↑↓ PgUp PgDn scroll  Esc back", "dim"), id="sheet_keys")

    def extend(self, text: str) -> None:
        """Show more below."""
        self._text += text
        if self.is_mounted:
            self.query_one("#text", Static).update(Text(self._text))

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one("#page", VerticalScroll).scroll_relative(y=lines, animate=False)


class Extended(Message):
    """There is more to show on a sheet."""

    def __init__(self, sheet: Sheet, text: str) -> None:
        super().__init__()
        self.sheet = sheet
        self.text = text


class Top(App[None]):
    """Shows the looks that come from ``source``, the first of which was taken already.

    ``seconds`` are between two looks. Everything that may wait is done in other threads.
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "Section"
    CSS = """
    #head, #rates, #keys, #title, #sheet_keys { height: 1; }
    #verdict { height: auto; }
    #note { height: auto; max-height: 2; }
    #sections { height: 1fr; }
    .wide #sections { layout: grid; grid-size: 6; grid-gutter: 0 1; }
    .wide Section { column-span: 3; }
    .wide #failures { column-span: 4; }
    .wide #changes { column-span: 2; }
    .wide #queues { column-span: 6; }
    #filter { height: 1; border: none; padding: 0 1; display: none; }
    #filter.asked { display: block; }
    Sheet { background: $background; }
    #page { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "quit", priority=True, show=False),  # also where text is typed
        Binding("question_mark,h", "help", show=False),
        Binding("p", "pause", show=False),
        Binding("v", "verdict", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "no_filter", show=False),
        *(Binding(str(number), f"section({number})", show=False) for number in range(1, 6)),
    ]

    def __init__(
        self, source: Source, first: Look, *, seconds: float, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(ansi_color=True)
        self._source = source
        self._clock = clock
        self._poller = Poller(source, self._on_look, seconds=seconds)
        self.look = first
        self._looked_at = clock.monotonic()
        self._trouble = ""
        self._wanted = ""
        # Kept, and not looked for: a look may come when the screen is not there any more.
        self._head, self._verdict = Static(id="head"), Static(id="verdict")
        self._rates, self._note = Static(id="rates"), Static(id="note")
        self._sections = [Section(table, number) for number, table in enumerate(TABLES, 1)]
        self._room = Container(id="sections")
        self._filter = Input(id="filter", placeholder="a text in a name; Enter, or Esc for all")

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield from (self._head, self._verdict, self._rates)
        with self._room:
            yield from self._sections
        yield from (self._note, self._filter)
        yield Static(Text(f" {_KEYS}", "dim", no_wrap=True), id="keys")

    def on_mount(self) -> None:
        """Begin to look."""
        self._show()
        self._poller.open()
        self.set_interval(1.0, self._show_head)

    def on_unmount(self) -> None:
        """Look no more."""
        self._poller.close()

    def on_resize(self, event: Resize) -> None:
        """Lay the sections out for this size."""
        width, height = event.size
        main = self.screen_stack[0]
        main.set_class(width >= _WIDE and height >= _LOW, "wide")
        self.call_after_refresh(self._show)

    # -- what comes ------------------------------------------------------------------------------

    def _on_look(self, look: Look | None, trouble: str) -> None:
        self.post_message(Looked(look, trouble))  # from the poller's thread

    def on_looked(self, message: Looked) -> None:
        """Show a look, or say why there is none."""
        self._trouble = message.trouble
        if message.look is not None:
            self.look = message.look
            self._looked_at = self._clock.monotonic()
        self._show()

    def on_section_opened(self, message: Section.Opened) -> None:
        """Show a row whole; what has to be asked for comes later."""
        sheet = Sheet(title_of(message.row), facts_of(message.row, self.look))
        self.push_screen(sheet)
        task_id = task_of(message.row)
        if task_id is not None:
            threading.Thread(
                target=self._ask_for_runs, args=(sheet, task_id), name="live-runs", daemon=True
            ).start()

    def _ask_for_runs(self, sheet: Sheet, task_id: str) -> None:
        try:
            text = runs_text(self._source.runs(task_id))
        except EventMonitorError as error:
            text = f"\n     {error_line(error)}\n"
        except Exception as error:  # noqa: BLE001  the sheet says so
            text = f"\n     something went wrong: {one_line(error)}.\n"
        self.post_message(Extended(sheet, f"\n{text}"))

    def on_extended(self, message: Extended) -> None:
        """Show more on a sheet."""
        message.sheet.extend(message.text)

    # -- keys ------------------------------------------------------------------------------------

    def action_section(self, number: int) -> None:
        """Go to a section."""
        self.screen.set_focus(self._sections[number - 1])

    def action_pause(self) -> None:
        """Pause, or go on."""
        self._poller.pause(not self._poller.is_paused)
        self._show_head()

    async def action_help(self) -> None:
        """Show the keys."""
        await self.push_screen(Sheet("event-monitor top", f"\n{_HELP}"))

    async def action_verdict(self) -> None:
        """Show every problem."""
        await self.push_screen(Sheet(self.look.level.upper(), f"\n{verdict_text(self.look)}"))

    def action_filter(self) -> None:
        """Ask for a filter."""
        self._filter.add_class("asked")
        self.screen.set_focus(self._filter)

    def action_no_filter(self) -> None:
        """Show all rows again."""
        self._filter.value = ""
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        self._wanted = event.value.strip()
        self._show_sections()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Go back to the sections, filtered."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self._filter.set_class(bool(self._filter.value), "asked")
        if self._filter.has_focus:
            self.screen.set_focus(self._sections[0])

    # -- showing ---------------------------------------------------------------------------------

    def _show(self) -> None:
        self._show_head()
        self._verdict.update(self._verdict_text())
        self._rates.update(self._rates_text())
        notes = " · ".join(map(safe, self.look.notes))
        self._note.update(Text(f" {notes}" if notes else "", "dim"))
        self._show_sections()

    def on_descendant_focus(self) -> None:
        """Give the most room to the section that is chosen."""
        self._share_lines()

    def _show_sections(self) -> None:
        for section in self._sections:
            section.show(self.look, wanted=self._wanted)
        self._share_lines()

    def _share_lines(self) -> None:
        """Give each section its share of the screen; beside each other all are of one height."""
        sections = self._sections
        if self.screen_stack[0].has_class("wide"):
            shares: list[int | str] = ["100%"] * len(sections)
        else:
            chosen = next((n for n, section in enumerate(sections) if section.has_focus), 0)
            lines = self._room.size.height
            shares = [*shared(lines, [section.lines for section in sections], chosen=chosen)]
        for section, share in zip(sections, shares, strict=True):
            section.styles.height = share

    def _show_head(self) -> None:
        width = self.size.width
        since = self._clock.monotonic() - self._looked_at
        state, style = "live", "dim"
        if self._trouble:
            state, style = f"NO ANSWER for {duration(since)}", "bold red"
        elif self._poller.is_paused:
            state, style = "PAUSED", "bold yellow"
        age = self.look.age_seconds
        old = "no data yet" if age is None else f"data {duration(age + since)} old"
        now = clock_text(self._clock.wall(), "%H:%M:%S")
        right = f"{state}  {now}  {old} "
        left = f" event-monitor top  {safe(self._source.where)}"
        text = Text(no_wrap=True)
        text.append(fitted(left, max(0, width - len(right) - 1), middle=True) + " ", "bold")
        text.append(right, style)
        self._head.update(text)

    def _verdict_text(self) -> Text:
        """Return the verdict, with the first problem beside it and others below."""
        look, width = self.look, self.size.width
        level, problems = look.level, list(look.problems) or ["nothing is wrong"]
        since = ""
        if self._trouble:
            problems = [self._trouble, f"before: {level.upper()}, {problems[0]}"]
            level = "unknown"
        elif look.since is not None:
            so_long = duration(max(0.0, look.at - look.since))
            since = f" since {clock_text(look.since)} ({so_long})"
        lines = 1 + (_MOST_PROBLEMS if self.size.height >= _TALL else 1)
        more = len(problems) - lines
        if more > 0:
            problems = [*problems[: lines - 1], f"and {more + 1} more: v shows all"]
        text = Text(no_wrap=True, overflow="crop", end="")
        text.append(f" {level.upper()}{since}  ", _STYLES.get(level, "bold"))
        text.append(fitted(safe(problems[0]), max(0, width - len(level + since) - 4)).rstrip())
        for problem in problems[1:]:
            text.append("\n" + fitted(f"   {safe(problem)}", width - 1).rstrip())
        return text

    def _rates_text(self) -> Text:
        """Return what ends in a minute, with the last hour of it as spark lines."""
        look, chart = self.look, self.look.chart
        running = f" running {count(look.running_count)}"
        if look.per_minute is None:
            return Text(running)
        said = [
            f" {rate:,.0f}/min {what} " for rate, what in zip(look.per_minute, _RATES, strict=True)
        ]
        if chart is None:
            return Text(f"{''.join(said)} {running}")
        waits = [wait for wait in chart.wait if wait is not None]
        rest = f"  wait p95 {took(waits[-1] if waits else None)} {running}"
        room = (self.size.width - len("".join(said)) - len(rest) - 1) // 2
        text = Text(no_wrap=True)
        styles = ("green", "red")
        for words, series, style in zip(said, (chart.succeeded, chart.failed), styles, strict=True):
            text.append(words)
            text.append(spark(series[:-1], room), style)  # its last minute is not over
        return text.append(rest)
