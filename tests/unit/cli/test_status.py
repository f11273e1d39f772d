"""Status: what is typed, and the number it ends with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .terminal import typed


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no monitor of another test, which leaves its sign of life there, be seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize(
    "arguments", [["--no-such-flag"], [], ["-b", "memory://", "--interval", "x"]]
)
def test_mistakes_are_no_verdict(arguments: list[str]) -> None:
    """2 is critical to Nagios, 3 is unknown."""
    result = typed("status", *arguments)

    assert result.exit_code == 3, result.output
    assert isinstance(result.exception, SystemExit)


def test_mistakes_are_printed_where_nagios_looks() -> None:
    """The first line of stdout."""
    assert typed("status").stdout.startswith("UNKNOWN: there is no app to watch: say -A proj")


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_a_broker_that_is_away_is_unknown(flags: list[str]) -> None:
    """One line, or one JSON object, without the password."""
    result = typed("status", "-b", "redis://user:geheim@127.0.0.1:1/0", *flags)

    assert result.exit_code == 3, result.output
    assert "geheim" not in result.output
    if flags:
        assert json.loads(result.stdout)["status"] == "unknown"
    else:
        (line,) = result.stdout.splitlines()
        assert line.startswith("UNKNOWN: the workers on redis://user:**@127.0.0.1:1/0 cannot be")


def test_workers_that_take_no_commands_are_unknown() -> None:
    """On SQS nobody is asked, and nobody is called missing."""
    result = typed("status", "-b", "sqs://", "--no-probe-queues")

    assert result.exit_code == 3
    assert result.stdout == (
        "UNKNOWN: nothing is known of the workers: sqs has no remote control of workers; "
        "--no-probe-workers leaves them out\n"
    )


def test_a_management_url_that_is_of_no_use_is_told() -> None:
    """Nothing else on the line is lost by it."""
    flags = ("--no-probe-workers", "--management-url", "http://user:geheim@mq:15672")
    result = typed("status", "-b", "memory://", *flags)

    assert result.exit_code == 1
    assert result.stdout.startswith(
        "WARNING: management_url is of no use: the broker is memory, not RabbitMQ"
    )
    assert "geheim" not in result.output


def test_it_is_shown_again_and_again_until_ctrl_c() -> None:
    """With the code of the last verdict; for programs each is one line of JSON."""
    command = [sys.executable, "-m", "event_monitor", "status", "-b", "memory://"]
    command += ["--no-probe-workers", "--watch", "1", "--json"]

    def heed_interrupts() -> None:
        """Undo what a shell does to what it starts in the background."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0

    first, second = (json.loads(line) for line in lines)
    assert first["status"] == "ok"
    assert second["at"] >= first["at"] + 1
