"""Stage: sets up all that a demo needs, lets it play, clears everything away, says how it went."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from celery import Celery
from kombu.exceptions import KombuError
from kombu.utils.url import maybe_sanitize_url
from rich.console import Console
from rich.text import Text

from ..errors import EXIT_CHECK_FAILED, EXIT_OK, UnavailableError
from .acts import MONITOR, DemoError, Play
from .broker import clean_up
from .cloudwatch import CloudWatch
from .processes import Processes, environment
from .run import Run
from .screen import Screen, verdict_tables
from .verdict import Verdict

__all__ = ["play"]


def play(*, broker: str | None) -> int:
    """See ``run_demo``."""
    console = Console(highlight=False)
    stack = contextlib.ExitStack()
    began = time.monotonic()
    try:
        with _signals(_interrupt):
            verdict = _prepare(stack, console, broker=broker).perform()
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
        return EXIT_CHECK_FAILED
    except DemoError as error:
        headline, _, log = str(error).partition("\n")
        console.print(Text(f"\n{headline}", style="bold red"), soft_wrap=True)
        console.print(Text(log), soft_wrap=True)
        return EXIT_CHECK_FAILED
    finally:
        with _signals(signal.SIG_IGN):  # impatience must not leave workers behind
            stack.close()
    console.print(*verdict_tables(verdict), sep="")
    console.print(_sentence(verdict, time.monotonic() - began))
    return EXIT_OK if verdict.agrees else EXIT_CHECK_FAILED


def _prepare(stack: contextlib.ExitStack, console: Console, *, broker: str | None) -> Play:
    """Set the stage; what is put on it is cleared away when the stack is closed."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="event-monitor-demo-")))
    (folder / "broker").mkdir()
    run = Run.new(folder, broker=broker)
    producer = Celery("event-monitor-demo", set_as_current=False)
    producer.conf.update(run.configuration)
    stack.callback(producer.close)
    where = "files as broker"
    if broker:
        where = _reach(producer)
        stack.callback(clean_up, producer, run)
    cloudwatch = stack.enter_context(CloudWatch())
    environ = environment(os.environ, run=run, endpoint=f"http://{cloudwatch.address}")
    processes = stack.enter_context(Processes(run, environ=environ))
    screen = Screen(
        console,
        title=f"Two Celery workers, {where}, a monitor, CloudWatch on {cloudwatch.address}",
        command="$ celery " + " ".join(MONITOR),
    )
    stack.enter_context(screen)
    return Play(run, producer, cloudwatch, processes, screen)


def _reach(producer: Celery) -> str:
    """The broker's URL without its password; ``UnavailableError`` when nobody answers there."""
    url = str(producer.conf.broker_url)
    try:
        with producer.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.5)
        return ";".join(maybe_sanitize_url(one) for one in url.split(";"))
    except (KombuError, OSError, KeyError, ImportError, ValueError) as error:
        scheme = url.partition("://")[0]
        raise UnavailableError(
            f"The {scheme} broker given with --broker cannot be used: {error}. "
            "Leave the flag out to use the embedded one."
        ) from error


def _sentence(verdict: Verdict, seconds: float) -> Text:
    wrong = sum(not one.agrees for one in verdict.comparisons)
    if wrong:
        return Text(
            f"{wrong} of {len(verdict.comparisons)} numbers in CloudWatch are not what happened.",
            style="bold red",
        )
    return Text(
        f"All {len(verdict.comparisons)} numbers agree: what happened is what CloudWatch holds. "
        f"({seconds:.0f} s)",
        style="bold green",
    )


@contextlib.contextmanager
def _signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """Handle the signals that end a terminal program this way for a while."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
