"""Terminal: type a command of ``event-monitor`` in this process, and read what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from event_monitor.cli import main

PROJECT = (
    "from celery import Celery\n"
    "app = Celery('shop', broker='redis://user:secret@app/0')\n"
    "app.conf.event_monitor = {'namespace': 'FromApp'}\n"
)


def typed(*arguments: str, environ: Mapping[str, str] | None = None) -> Result:
    """Type ``event-monitor`` and the arguments."""
    return CliRunner().invoke(main, list(arguments), prog_name="event-monitor", env=environ)


def complaint(result: Result, *, code: int) -> str:
    """Return the one line on stderr, after the program's name."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("event-monitor: ")
    return line.removeprefix("event-monitor: ")


def module(folder: Path, name: str, *, source: str) -> str:
    """Write a module of the user's into that folder; return its name."""
    (folder / f"{name}.py").write_text(source)
    return name


def namespace_of(result: Result) -> str:
    """Return the namespace that ``event-monitor settings`` shows."""
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("namespace"))
    return line.split()[2]
