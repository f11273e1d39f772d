"""Acts: the demo from its first process to its verdict; each act waits for what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from celery import Celery
from kombu.exceptions import KombuError

from . import ledger
from .cloudwatch import CloudWatch
from .processes import Process, Processes
from .run import LONG_QUEUE, WORK_QUEUE, Run
from .screen import Screen, View
from .verdict import Verdict, compare, has_arrived
from .workload import SampleTask, sample_tasks

__all__ = ["MONITOR", "DemoError", "Play"]

APP = ("-A", "event_monitor.demo.tasks")
MONITOR = (*APP, "events", "-l", "INFO", "-c", "event_monitor.CloudWatchCam", "-F", "5")
WORKER = (*APP, "worker", "-E", "-l", "INFO", "-c", "2", "--without-mingle", "--without-gossip")
STAYS, DIES = "east@demo", "west@demo"

BEFORE_SECONDS = 8  # of work with two workers
AFTER_SECONDS = 25  # of work with one, at most: until CloudWatch knows of the death
PACE_SECONDS = 0.1  # between two tasks
LOOK_SECONDS = 0.1  # between two looks at a condition
READY_SECONDS = 40  # until a process must be up; imports take long on a busy machine
END_SECONDS = 20  # until all tasks that were sent must have ended
ARRIVE_SECONDS = 12  # until what happened must be in CloudWatch: two intervals and a bit


class DemoError(Exception):
    """The demo could not be played to its end; the message says why."""


class Play:
    """The acts of the demo; each ends when what it waits for has happened."""

    def __init__(
        self,
        run: Run,
        producer: Celery,
        cloudwatch: CloudWatch,
        processes: Processes,
        screen: Screen,
    ) -> None:
        self._run = run
        self._producer = producer
        self._cloudwatch = cloudwatch
        self._processes = processes
        self._screen = screen
        self._began = time.monotonic()

    def perform(self) -> Verdict:
        """Play all acts. Raises ``DemoError`` when a process fails."""
        monitor, stays, dies = self._start()
        tasks = sample_tasks()
        self._work_before(tasks)
        self._kill(dies)
        self._work_after(tasks)
        self._stop(stays, monitor)
        return compare(ledger.read(self._run.ledger), self._cloudwatch.read(), killed=DIES)

    # -- the acts ------------------------------------------------------------------------------

    def _start(self) -> tuple[Process, Process, Process]:
        work, long = self._run.queue(WORK_QUEUE), self._run.queue(LONG_QUEUE)
        monitor = self._processes.start("monitor", MONITOR, ready_line="receiving events from ")
        stays = self._processes.start(
            STAYS, (*WORKER, "-n", STAYS, "-Q", work), ready_line=f"{STAYS} ready."
        )
        dies = self._processes.start(
            DIES, (*WORKER, "-n", DIES, "-Q", f"{work},{long}"), ready_line=f"{DIES} ready."
        )
        for process in (monitor, stays, dies):
            now = "The monitor and two workers start."
            if not self._wait(process.is_up, now, seconds=READY_SECONDS):
                raise DemoError(f"{process.name} did not get ready:\n{process.last_lines}")
        return monitor, stays, dies

    def _work_before(self, tasks: Iterator[SampleTask]) -> None:
        self._send("shop.export_year", (3_600.0,), queue=LONG_QUEUE)
        now = f"Both workers work; one long task runs on {DIES}."
        until = time.monotonic() + BEFORE_SECONDS
        self._send_while(lambda: time.monotonic() < until, tasks, now)
        # Only the long task may die: what else a killed worker holds would be lost.
        now = "The short tasks end, and everything up to here arrives in CloudWatch."
        self._end_all_but(1, now)
        self._wait(self._has_arrived, now, seconds=ARRIVE_SECONDS)

    def _kill(self, process: Process) -> None:
        process.kill()
        self._show(f"kill -9 {process.name}, in the middle of its long task.")

    def _work_after(self, tasks: Iterator[SampleTask]) -> None:
        until = time.monotonic() + AFTER_SECONDS
        now = f"{DIES} was killed with kill -9. {STAYS} goes on; who notices?"
        self._send_while(
            lambda: time.monotonic() < until and not self._cloudwatch.read().sum("WorkersLost"),
            tasks,
            now,
        )
        now = "The death has been noticed. The last tasks end and arrive in CloudWatch."
        self._end_all_but(1, now)
        self._wait(self._has_arrived, now, seconds=ARRIVE_SECONDS)

    def _stop(self, stays: Process, monitor: Process) -> None:
        for process, now in (
            (stays, f"{STAYS} is told to stop and says goodbye."),
            (monitor, "The monitor is told to stop (SIGTERM) and sends its last window."),
        ):
            process.ask_to_stop()
            if not self._wait(process.has_ended, now, seconds=END_SECONDS):
                raise DemoError(f"{process.name} did not stop:\n{process.last_lines}")
            if process.popen.returncode:
                raise DemoError(
                    f"{process.name} ended with {process.popen.returncode}:\n{process.last_lines}"
                )
        self._show("The play is over.")

    # -- what the acts are made of ---------------------------------------------------------------

    def _send(self, name: str, args: tuple[object, ...], *, queue: str, wait: float = 0) -> None:
        try:
            self._producer.send_task(
                name, args=args, queue=self._run.queue(queue), countdown=wait or None
            )
        except KombuError as error:
            raise DemoError(f"The broker takes no more tasks: {error}") from error
        ledger.note(self._run.ledger, "sent", name)

    def _send_while(
        self, condition: Callable[[], bool], tasks: Iterator[SampleTask], now: str
    ) -> None:
        while condition():
            name, args, wait = next(tasks)
            self._send(name, args, queue=WORK_QUEUE, wait=wait)
            self._show(now)
            time.sleep(PACE_SECONDS)

    def _end_all_but(self, running: int, now: str) -> None:
        def ended() -> bool:
            return ledger.read(self._run.ledger).unfinished == running

        if not self._wait(ended, now, seconds=END_SECONDS):
            raise DemoError(f"The tasks did not end within {END_SECONDS} s.")

    def _has_arrived(self) -> bool:
        return has_arrived(ledger.read(self._run.ledger), self._cloudwatch.read())

    def _wait(self, condition: Callable[[], bool], now: str, *, seconds: float) -> bool:
        """Wait for it, showing what happens meanwhile; False when it took too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._show(now)
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _show(self, now: str) -> None:
        for process in self._processes:
            if process.has_died():
                raise DemoError(f"{process.name} has died:\n{process.last_lines}")
            process.is_up()
        self._screen.show(
            View(
                seconds=time.monotonic() - self._began,
                now=now,
                processes=tuple(self._processes),
                truth=ledger.read(self._run.ledger),
                reading=self._cloudwatch.read(),
            )
        )
