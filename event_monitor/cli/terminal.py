"""Terminal: the standard streams, and how wide and in which colours a command prints."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from ..settings import wants_colours

__all__ = ["coloured", "open_missing_streams", "width"]

_NARROWEST = 80  # columns; a narrower terminal wraps lines by itself


def open_missing_streams() -> None:
    """Let a standard stream that was closed at the start lead nowhere; Python has None for it.

    Its number is taken then, too: else the next file would get what is written to that number.
    ``sys.__stdout__`` stays None, for who must not lose silently what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  for good
            setattr(sys, name, stream)


def width(*, unless_known: int = 100, most: int | None = 120) -> int:
    """Return the columns to fill: those of the terminal, within bounds."""
    columns = max(_NARROWEST, shutil.get_terminal_size((unless_known, 24)).columns)
    return columns if most is None else min(most, columns)


def coloured(text: str, colour: str | None, *, bold: bool = False) -> str:
    """Return the text in that colour where colours are wanted; ``click.echo`` knows of pipes."""
    return click.style(text, fg=colour, bold=bold) if colour and wants_colours() else text
