"""Runner: sets up what the demo needs, runs the scenario, cleans up, prints the verdict."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError, OperationalError
from rich.console import Console
from rich.text import Text

from ..broker.configuration import require_configuration
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import EXIT_CHECK_FAILED, EXIT_OK, UnavailableError
from ..redaction import shown_url
from ..text import one_line, printable
from .broker import clean_up
from .cloudwatch import CloudWatch
from .environment import process_environ, user_settings_hidden
from .identity import Run
from .processes import Processes
from .scenario import MONITOR, DemoError, Scenario
from .screen import Screen, verdict_tables
from .sqs import broker_at, make_queues, require_sqs, send_events
from .verdict import Verdict

__all__ = ["run_in_terminal"]

_USUAL_PORT = 9_808  # of the page: see the setting `http`

#: What ``broker`` is for an SQS of the demo's own.
SQS = "sqs"

#: Schemes of brokers that carry events and need nothing else of the user's environment.
BROKERS = {"amqp", "amqps", "pyamqp", "redis", "redis+socket", "rediss", "sentinel"}


def run_in_terminal(*, broker: str | None, keep: bool = False, clock: Clock = SYSTEM_CLOCK) -> int:
    """See ``run_demo``."""
    console = Console(highlight=False)
    stack = contextlib.ExitStack()
    started_at = clock.monotonic()
    try:
        with _signals(_interrupt):
            scenario = _set_up(stack, console, broker=broker, clock=clock)
            verdict = scenario.run(keep=_until_interrupted if keep else None)
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
        return EXIT_CHECK_FAILED
    except DemoError as error:
        headline, _, log = str(error).partition("\n")
        console.print(Text(f"\n{headline}", style="bold red"), soft_wrap=True)
        console.print(Text("\n".join(map(printable, log.split("\n")))), soft_wrap=True)
        return EXIT_CHECK_FAILED
    finally:
        with _signals(signal.SIG_IGN):  # a second Ctrl-C must not leave workers behind
            stack.close()
    console.print(*verdict_tables(verdict), sep="")
    console.print(_conclusion(verdict, clock.monotonic() - started_at))
    return EXIT_OK if verdict.agrees else EXIT_CHECK_FAILED


def _set_up(
    stack: contextlib.ExitStack, console: Console, *, broker: str | None, clock: Clock
) -> Scenario:
    """Start everything but the processes; closing the stack removes it again."""
    stack.enter_context(user_settings_hidden())
    folder = Path(stack.enter_context(_temporary_folder()))
    (folder / "broker").mkdir()
    if broker == SQS:
        require_sqs()
    cloudwatch = stack.enter_context(CloudWatch())
    run = Run.new(folder, broker=broker_at(cloudwatch.address) if broker == SQS else broker)
    producer = Celery("event-monitor-demo", set_as_current=False)
    producer.conf.update(run.configuration)
    stack.callback(producer.close)
    where = "files as broker"
    if broker == SQS:
        where = "SQS as broker"
        make_queues(run)
        send_events(producer, run)
    elif broker:
        where = _reachable(producer, broker)
        stack.callback(clean_up, producer, run)
    page = f"127.0.0.1:{_free_port()}"
    environ = process_environ(
        os.environ, run=run, endpoint=f"http://{cloudwatch.address}", page=page
    )
    processes = stack.enter_context(Processes(run, environ=environ))
    screen = Screen(
        console,
        title=f"Two Celery workers, {where}, a monitor, CloudWatch on {cloudwatch.address}",
        command="$ celery " + " ".join(MONITOR).replace(" -c ", " \\\n    -c "),
        page=f"http://{page}",
    )
    stack.enter_context(screen)
    return Scenario(
        run, producer, cloudwatch=cloudwatch, processes=processes, screen=screen, clock=clock
    )


def _free_port() -> int:
    """Return the port that the page usually has; another one where that is taken."""
    for port in (_USUAL_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise DemoError("No port is free on 127.0.0.1.")


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="event-monitor-demo-", ignore_cleanup_errors=True)


def _reachable(producer: Celery, broker: str) -> str:
    """Return the broker's URL without its password.

    Raises ``SettingsError`` or ``UnavailableError`` if it cannot be used.
    """
    urls = broker.split(";")
    schemes = {url.partition("://")[0] for url in urls}
    if not schemes <= BROKERS:  # SQS, above all, would be somebody's account
        raise UnavailableError(
            f"--broker must be a URL that begins with {', '.join(sorted(BROKERS))}, or sqs for an "
            "embedded SQS; leave the flag out to use files."
        )
    require_configuration(producer)
    try:
        with producer.connection_for_write() as connection:
            _connect(connection)
        return shown_url(broker)
    except (KombuError, OSError, ValueError) as error:
        raise UnavailableError(
            f"The broker given with --broker cannot be used ({one_line(error)}); leave the flag "
            "out to use the embedded one."
        ) from error


def _connect(connection: Connection) -> None:
    try:
        connection.ensure_connection(max_retries=1, interval_start=0.5)
    except connection.channel_errors as error:  # how AMQP answers a wrong password
        raise OperationalError(str(error)) from error


def _conclusion(verdict: Verdict, seconds: float) -> Text:
    wrong = sum(not comparison.agrees for comparison in verdict.comparisons)
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
    """Handle the signals that end a terminal program with ``handler`` while the block lasts."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, signal.SIG_DFL if previous is None else previous)


@contextlib.contextmanager
def _until_interrupted() -> Iterator[Callable[[], bool]]:
    """Yield what returns whether Ctrl-C was pressed meanwhile, which ends nothing by itself."""
    pressed: list[int] = []
    with _signals(lambda number, _frame: pressed.append(number)):
        yield lambda: bool(pressed)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
