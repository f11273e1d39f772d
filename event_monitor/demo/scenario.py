"""Scenario: the demo from its first process to its verdict.

Two workers run tasks, one of them is killed with kill -9, the other and the monitor shut down
gracefully. Each step waits until what it demonstrates has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from celery import Celery
from kombu.exceptions import KombuError

from ..clock import SYSTEM_CLOCK, Clock
from . import ledger
from .cloudwatch import CloudWatch
from .identity import LONG_QUEUE, WORK_QUEUE, Run
from .processes import Process, Processes
from .screen import Screen, View
from .verdict import Verdict, compare, has_arrived
from .workload import SampleTask, sample_tasks

__all__ = ["MONITOR", "DemoError", "Scenario"]

APP = ("-A", "event_monitor.demo.tasks")
MONITOR = (*APP, "events", "-l", "INFO", "-c", "event_monitor.CloudWatchCam", "-F", "5")
WORKER = (*APP, "worker", "-E", "-l", "INFO", "-c", "2", "--without-mingle", "--without-gossip")
SURVIVOR, VICTIM = "east@demo", "west@demo"

TWO_WORKERS_SECONDS = 8  # of sending tasks while both workers run
ONE_WORKER_SECONDS = 25  # of sending tasks after the kill, at most: until CloudWatch has the loss
SEND_SECONDS = 0.1  # between two tasks
KEEP_SEND_SECONDS = 2.0  # the same while the page is kept up, and between two looks at CloudWatch
POLL_SECONDS = 0.1  # between two checks of a condition
READY_SECONDS = 40  # until a process must be ready; imports take long on a busy machine
END_SECONDS = 20  # until all tasks that were sent must have ended
ARRIVE_SECONDS = 12  # until what happened must be in CloudWatch: two intervals and a bit


#: Yields what returns whether it is over.
Keep = Callable[[], AbstractContextManager[Callable[[], bool]]]


class DemoError(Exception):
    """The demo could not be finished; the message says why."""


class Scenario:
    """The steps of the demo. Use it once, from one thread."""

    def __init__(
        self,
        run: Run,
        producer: Celery,
        *,
        cloudwatch: CloudWatch,
        processes: Processes,
        screen: Screen,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._run = run
        self._producer = producer
        self._cloudwatch = cloudwatch
        self._processes = processes
        self._screen = screen
        self._clock = clock
        self._started_at = clock.monotonic()

    def run(self, *, keep: Keep | None = None) -> Verdict:
        """Run all steps. Raises ``DemoError`` when a process fails or something takes too long.

        ``keep`` lasts as long as somebody looks at what is left running after the loss.
        """
        monitor, survivor, victim = self._start()
        tasks = sample_tasks()
        self._run_two_workers(tasks)
        self._kill(victim)
        self._run_one_worker(tasks)
        if keep is not None:
            self._keep_up(tasks, keep)
        self._shut_down(survivor, monitor)
        return compare(ledger.read(self._run.ledger), self._cloudwatch.read(), killed=VICTIM)

    # -- the steps -----------------------------------------------------------------------------

    def _start(self) -> tuple[Process, Process, Process]:
        work, long = self._run.queue(WORK_QUEUE), self._run.queue(LONG_QUEUE)
        monitor = self._processes.start("monitor", MONITOR, ready_line="receiving events from ")
        survivor = self._processes.start(
            SURVIVOR, (*WORKER, "-n", SURVIVOR, "-Q", work), ready_line=f"{SURVIVOR} ready."
        )
        victim = self._processes.start(
            VICTIM, (*WORKER, "-n", VICTIM, "-Q", f"{work},{long}"), ready_line=f"{VICTIM} ready."
        )
        for process in (monitor, survivor, victim):
            caption = "The monitor and two workers start."
            if not self._wait_for(process.is_ready, caption, seconds=READY_SECONDS):
                raise DemoError(f"{process.name} did not become ready:\n{process.last_lines}")
        return monitor, survivor, victim

    def _run_two_workers(self, tasks: Iterator[SampleTask]) -> None:
        self._send(SampleTask("shop.export_year", (3_600.0,)), LONG_QUEUE)
        until = self._clock.monotonic() + TWO_WORKERS_SECONDS
        self._send_while(
            lambda: self._clock.monotonic() < until,
            tasks,
            caption=f"Both workers work; one long task runs on {VICTIM}.",
        )
        # Only the long task may die: any other task that a killed worker holds would be lost.
        self._wait_until_counted(
            "The short tasks end, and everything up to here arrives in CloudWatch."
        )

    def _kill(self, process: Process) -> None:
        process.kill()
        self._show(f"kill -9 {process.name}, in the middle of its long task.")

    def _run_one_worker(self, tasks: Iterator[SampleTask]) -> None:
        until = self._clock.monotonic() + ONE_WORKER_SECONDS

        def unnoticed() -> bool:
            lost = self._cloudwatch.read().sum("WorkersLost")
            return not lost and self._clock.monotonic() < until

        self._send_while(
            unnoticed,
            tasks,
            caption=f"{VICTIM} was killed with kill -9. {SURVIVOR} goes on; who notices?",
        )
        self._wait_until_counted(
            "The loss has been noticed. The last tasks end and arrive in CloudWatch."
        )

    def _keep_up(self, tasks: Iterator[SampleTask], keep: Keep) -> None:
        with keep() as is_over:
            while not is_over():
                self._send(next(tasks), WORK_QUEUE)
                self._show(f"{SURVIVOR} and the page stay up until Ctrl-C.")
                until = self._clock.monotonic() + KEEP_SEND_SECONDS
                while not is_over() and self._clock.monotonic() < until:
                    self._clock.sleep(POLL_SECONDS)
        self._wait_until_counted("The last tasks end and arrive in CloudWatch.")

    def _shut_down(self, survivor: Process, monitor: Process) -> None:
        for process, caption in (
            (survivor, f"{SURVIVOR} gets SIGTERM and shuts down gracefully."),
            (monitor, "The monitor gets SIGTERM and sends its last window."),
        ):
            process.terminate()
            if not self._wait_for(process.has_ended, caption, seconds=END_SECONDS):
                raise DemoError(f"{process.name} did not stop:\n{process.last_lines}")
            if process.exit_code:
                raise DemoError(
                    f"{process.name} ended with exit code {process.exit_code}:\n"
                    f"{process.last_lines}"
                )
        self._show("The demo is over.")

    # -- what the steps are made of ------------------------------------------------------------

    def _send(self, task: SampleTask, queue: str) -> None:
        try:
            self._producer.send_task(
                task.name,
                args=task.args,
                queue=self._run.queue(queue),
                countdown=task.countdown_seconds or None,
            )
        except KombuError as error:
            raise DemoError(f"The broker takes no more tasks: {error}") from error
        ledger.append(self._run.ledger, "sent", task.name)

    def _send_while(
        self, condition: Callable[[], bool], tasks: Iterator[SampleTask], *, caption: str
    ) -> None:
        while condition():
            self._send(next(tasks), WORK_QUEUE)
            self._show(caption)
            self._clock.sleep(SEND_SECONDS)

    def _wait_until_counted(self, caption: str) -> None:
        """Wait until only the long task has not ended, then a while for CloudWatch to know it."""

        def all_but_one_ended() -> bool:
            return ledger.read(self._run.ledger).unfinished == 1

        def arrived() -> bool:
            return has_arrived(ledger.read(self._run.ledger), self._cloudwatch.read())

        if not self._wait_for(all_but_one_ended, caption, seconds=END_SECONDS):
            raise DemoError(f"The tasks did not end within {END_SECONDS} s.")
        self._wait_for(arrived, caption, seconds=ARRIVE_SECONDS)  # the verdict says so if it is not

    def _wait_for(self, condition: Callable[[], bool], caption: str, *, seconds: float) -> bool:
        """Poll the condition, showing the caption; return False when it takes too long."""
        deadline = self._clock.monotonic() + seconds
        while not condition():
            self._show(caption)
            if self._clock.monotonic() > deadline:
                return False
            self._clock.sleep(POLL_SECONDS)
        return True

    def _show(self, caption: str) -> None:
        for process in self._processes:
            if process.has_died():
                raise DemoError(f"{process.name} died unexpectedly:\n{process.last_lines}")
            process.refresh()
        self._screen.show(
            View(
                seconds=self._clock.monotonic() - self._started_at,
                caption=caption,
                processes=tuple(self._processes),
                truth=ledger.read(self._run.ledger),
                reading=self._cloudwatch.read(),
            )
        )
