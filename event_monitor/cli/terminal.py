"""Terminal: how wide the text is that a command prints, and in which colours."""

from __future__ import annotations

import shutil

import click

from ..settings import wants_colours

__all__ = ["coloured", "width"]

_NARROWEST = 80  # columns; a narrower terminal wraps lines by itself


def width(*, unless_known: int = 100, most: int | None = 120) -> int:
    """Return the columns to fill: those of the terminal, within bounds."""
    columns = max(_NARROWEST, shutil.get_terminal_size((unless_known, 24)).columns)
    return columns if most is None else min(most, columns)


def coloured(text: str, colour: str | None, *, bold: bool = False) -> str:
    """Return the text in that colour where colours are wanted; ``click.echo`` knows of pipes."""
    return click.style(text, fg=colour, bold=bold) if colour and wants_colours() else text
