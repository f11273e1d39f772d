"""Command: ``event-monitor run``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import signal
import threading

import click

from ..errors import EXIT_CRASHED, EXIT_OK, EXIT_UNSENT
from .app import load_app_and_settings
from .options import Command, loglevel, watching

__all__ = ["run"]


@click.command(
    cls=Command,
    examples=(
        "event-monitor run -A proj",
        "event-monitor run -b redis://localhost:6379/0 --dry-run --interval 10",
        "event-monitor run -A proj --namespace Shop --dimensions Environment=prod",
        "event-monitor run --config celeryconfig.py",
        "celery -A proj event-monitor run --enable-events",
    ),
    settings=(
        *("namespace", "region", "dimensions", "interval", "sink"),
        *("state_dir", "enable_events", "http", "history"),
    ),
    exit_codes={
        EXIT_OK: "stopped as asked, everything sent",
        EXIT_UNSENT: "stopped as asked, but some metrics were not sent",
        EXIT_CRASHED: "a thread of the monitor died",
    },
)
@watching
@loglevel("INFO")
@click.option("--dry-run", is_flag=True, help="Print the metrics instead of sending them.")
@click.pass_context
def run(ctx: click.Context, /, *, dry_run: bool, **values: object) -> None:
    """Count events and publish metrics until stopped.

    SIGTERM, Ctrl-C and SIGHUP shut down gracefully: a last shot is taken and sent. A second
    SIGTERM or Ctrl-C stops at once. SIGUSR1 logs a state dump: what every thread does, and what
    waits. No log line is waited for: what a stalled reader does not take is dropped and counted.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to dump
    if dry_run:
        values["sink"] = "console"
    app, settings = load_app_and_settings(ctx, values)
    from ..process.ending import end_output
    from ..process.log_queue import LogQueue
    from ..process.memory import share_one_arena
    from ..service import Service

    share_one_arena()
    log_queue = LogQueue()
    log_queue.open()
    code = EXIT_CRASHED
    try:
        code = Service(settings, app, log_queue=log_queue).run()
    finally:
        end_output(log_queue, exit_code=code)
    ctx.exit(code)
