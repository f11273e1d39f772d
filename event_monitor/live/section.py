"""Section: one table on the screen, with a row that is chosen. A widget of textual's."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.widget import Widget

from .look import Look
from .tables import Table
from .words import fitted

__all__ = ["Section"]

_STYLES = {"bad": "bold red", "warn": "yellow", "ok": "", "dim": "dim", "": ""}
#: What says without colour how bad a row is.
_MARKS = {"bad": "!", "warn": "~"}
_MARGIN = 2  # columns before the cells: the mark of the chosen row, and how bad it is


class Section(Widget, can_focus=True):
    """Shows the rows of one table. The chosen row stays chosen where others come before it.

    Its text is made here and never parsed: no name is taken for markup.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
        Binding("enter", "open", show=False),
        Binding("s", "sort(1)", show=False),
        Binding("S", "backwards", show=False),
    ]

    class Opened(Message):
        """A row is to be shown whole."""

        def __init__(self, row: Any) -> None:
            super().__init__()
            self.row = row

    def __init__(self, table: Table[Any], number: int) -> None:
        super().__init__(id=table.name.lower())
        self.table = table
        self._number = number
        self._look: Look | None = None
        self._wanted = ""
        self._by: int | None = None
        self._is_backwards = False
        self._chosen = ""
        self._index = 0
        self._top = 0
        self._rows: list[Any] = []

    def show(self, look: Look, *, wanted: str) -> None:
        """Show this look, and only the rows with ``wanted`` in a name."""
        self._look, self._wanted = look, wanted
        self._arrange()

    @property
    def lines(self) -> int:
        """Return how many lines all of it takes: its titles, and its rows or why there is none."""
        return 1 + max(1, len(self._rows))

    def render(self) -> Text:
        """Return a line of titles, and as many rows as there is room for."""
        width, height = self.size
        columns = self.table.shown(max(1, width - _MARGIN))
        self._top = max(0, min(self._top, self._index, len(self._rows) - (height - 1)))
        self._top = max(self._top, self._index - max(1, height - 1) + 1)
        text = Text(no_wrap=True, overflow="crop", end="")
        text.append(self._titles(columns, width), "reverse" if self.has_focus else "bold")
        if self._look is None:
            return text
        if not self._rows and height > 1:
            text.append(f"\n  {self._nothing()}", "dim")
        for index in range(self._top, min(len(self._rows), self._top + height - 1)):
            row = self._rows[index]
            tone = self.table.tone(row, self._look)
            is_chosen = self.has_focus and index == self._index
            mark = f"{'▸' if is_chosen else ' '}{_MARKS.get(tone, ' ')}"
            line = mark + self.table.line(row, self._look, columns)
            style = f"{_STYLES[tone]}{' bold' if is_chosen else ''}".strip()
            text.append(f"\n{fitted(line, width)}", style)
        return text

    # -- keys and mouse --------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Choose a row further down, or up."""
        self._choose(self._index + by)

    def action_open(self) -> None:
        """Ask for the chosen row to be shown whole."""
        if self._rows:
            self.post_message(self.Opened(self._rows[self._index]))

    def action_sort(self, step: int) -> None:
        """Sort by the next column; after the last one, as they come."""
        shown = [self.table.columns.index(column) for column, _ in self.table.shown(self._room)]
        places: list[int | None] = [None, *shown]
        here = places.index(self._by) if self._by in places else 0
        self._by = places[(here + step) % len(places)]
        self._is_backwards = False
        self._top = self._index = 0
        self._chosen = ""
        self._arrange()

    def action_backwards(self) -> None:
        """Turn the order round."""
        self._is_backwards = not self._is_backwards
        self._arrange()

    def on_click(self, event: Click) -> None:
        """Choose what is clicked at; open what is chosen already."""
        index = self._top + event.y - 1
        if event.y < 1 or index >= len(self._rows):
            return
        if index == self._index and event.chain > 1:
            self.action_open()
        self._choose(index)

    def on_mouse_scroll_down(self, _event: MouseScrollDown) -> None:
        """Choose the next row."""
        self.action_move(1)

    def on_mouse_scroll_up(self, _event: MouseScrollUp) -> None:
        """Choose the row before."""
        self.action_move(-1)

    # -- rows ------------------------------------------------------------------------------------

    @property
    def _room(self) -> int:
        return max(1, self.size.width - _MARGIN)

    def _arrange(self) -> None:
        if self._look is None:
            return
        self._rows = self.table.arranged(
            self._look, wanted=self._wanted, by=self._by, backwards=self._is_backwards
        )
        keys = [self.table.key(row) for row in self._rows]
        self._choose(keys.index(self._chosen) if self._chosen in keys else self._index)

    def _choose(self, index: int) -> None:
        self._index = max(0, min(index, len(self._rows) - 1))
        self._chosen = self.table.key(self._rows[self._index]) if self._rows else ""
        self.refresh()

    def _titles(self, columns: list[tuple[Any, int]], width: int) -> str:
        name, cells = f" {self._number} {self.table.name}{self._count()}", []
        for place, (column, room) in enumerate(columns):
            is_sorted = self._by is not None and column is self.table.columns[self._by]
            arrow = ("↑" if self._is_backwards else "↓") if is_sorted else ""
            title = "" if place == 0 else f"{column.title}{arrow}"
            name += "" if place else f"{arrow} "
            cells.append(fitted(title, room, side=column.side))
        titles = " " * _MARGIN + " ".join(cells)
        return fitted(name + titles[len(name) :], width)

    def _count(self) -> str:
        look = self._look
        if look is None or self.table.rows(look) is None:
            return ""
        total = None if self._wanted else self.table.total(look)
        return f" {len(self._rows) if total is None else total:,}"

    def _nothing(self) -> str:
        if self._look is not None and self.table.rows(self._look) is None:
            return "not known"
        return f"none with {self._wanted!r} in a name" if self._wanted else "none"
