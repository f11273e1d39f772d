"""Failure: where in the user's own code an import broke, and how."""

from __future__ import annotations

import traceback
from pathlib import Path

from ..text import one_line

__all__ = ["described", "place", "raised_by_celery"]


def described(error: BaseException) -> str:
    """Return the class of an error and what it says, as the last line of a traceback has it."""
    name, text = type(error).__name__, one_line(error)
    return name if text == name else f"{name}: {text}"


def raised_by_celery(error: BaseException) -> bool:
    """Return whether Celery raised it, looking for the app, and not the user's module."""
    folders = Path(_frames(error)[-1].filename).parts[-4:-1]
    return bool({"celery", "kombu"} & set(folders))


def place(error: BaseException) -> str:
    """Return the file and line in which it was raised, as the beginning of a sentence."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno},"
    last = _frames(error)[-1]
    return f"{last.filename}, line {last.lineno},"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return where it came through, without the import system and frozen modules such as ``os``."""
    frames = traceback.extract_tb(error.__traceback__)
    return [
        frame
        for frame in frames
        if "importlib" not in frame.filename and not frame.filename.startswith("<frozen ")
    ]
