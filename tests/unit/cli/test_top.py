"""Top: how the command begins, and in which sentence it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .terminal import complaint, typed


def test_neither_a_monitor_nor_a_broker() -> None:
    """What it looked for, and what to say; exit 3."""
    assert complaint(typed("top", "--http", "127.0.0.1:1"), code=3) == (
        "no monitor answers at http://127.0.0.1:1: Connection refused; say --url, or -A proj or "
        "-b URL to ask broker and workers."
    )


def test_a_broker_that_is_away_too() -> None:
    """Both are named."""
    words = ("top", "--url", "http://127.0.0.1:1", "-b", "redis://127.0.0.1:1/0")
    said = complaint(typed(*words), code=3)

    assert said.startswith("no monitor answers at http://127.0.0.1:1: Connection refused, and ")
    assert "redis://127.0.0.1:1/0" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "shop:9808"], "it must be a URL of a monitor"),
        (["--url", "http://"], "it must be a URL of a monitor"),
        (["--url", "http://h:99999"], "it must be a URL of a monitor"),
        (["--url", "http://ann:tr0ub4dor@h"], "--http-auth basic:FILE"),
        (["--http-auth", "basic:tr0ub4dor"], "http_auth is not shown"),
    ],
)
def test_a_wrong_flag_is_one_sentence_without_the_password(words: list[str], said: str) -> None:
    """Exit 2."""
    complained = complaint(typed("top", *words), code=2)

    assert said in complained
    assert "tr0ub4dor" not in complained


def test_without_a_terminal() -> None:
    """Whoever pipes it wants status."""
    said = complaint(typed("top", "-b", "memory://top/", "--probe-seconds", "1"), code=2)

    assert said.startswith("top needs a terminal")


def test_without_its_extra() -> None:
    """What to install, in one sentence."""
    code = (
        "import sys; sys.modules['textual'] = None\n"
        "from event_monitor.cli import main; main(['top'], prog_name='event-monitor')"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False
    )

    assert run.returncode == 3
    assert run.stderr == (
        "event-monitor: top needs textual: pip install 'celery-event-monitor[top]'.\n"
    )
