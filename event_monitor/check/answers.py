"""Answers: what the workers reply when all of them are asked once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..broker.capabilities import answers_remote_control
from ..broker.control import Question
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..probes.inspect import replies_of
from ..probes.replies import with_reply
from ..settings import Only
from ..survey import WorkerAnswer
from ..text import one_line
from .configuration import Configuration, configuration_of
from .evidence import WorkerEvidence
from .finding import Finding
from .held import HeldTask, held_tasks
from .rights import Needs, missing_right

__all__ = ["Answers", "ask_workers", "of_service"]

Value = TypeVar("Value")

_REPLY_SECONDS = 2.0
_HOLDING = ("active", "reserved", "scheduled", "stats", "active_queues")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the workers answered, by nodename.

    ``replies``: how many came to one question. ``turned_on``: who had task events turned on by us;
    None if nobody was asked to. ``workers``: what each holds, and ``tasks`` those that it runs or
    keeps for their eta. ``problem``: why nobody could be asked.
    """

    configurations: Mapping[str, object] = field(default_factory=dict)
    replies: Mapping[str, int] = field(default_factory=dict)
    turned_on: frozenset[str] | None = None
    workers: Mapping[str, WorkerAnswer] = field(default_factory=dict)
    tasks: tuple[HeldTask, ...] = ()
    problem: Finding | None = None

    @property
    def settings(self) -> Mapping[str, Configuration]:
        """Return what is known of each configuration."""
        return {hostname: configuration_of(body) for hostname, body in self.configurations.items()}

    @property
    def of_one_process(self) -> Mapping[str, WorkerAnswer]:
        """Return the workers whose name no other process has: else the replies are a mixture."""
        return {
            hostname: answer
            for hostname, answer in self.workers.items()
            if self.replies.get(hostname, 0) <= 1
        }

    @property
    def queues(self) -> frozenset[str]:
        """Return the queues that workers read."""
        return frozenset(name for each in self.workers.values() for name in each.queues or ())


def ask_workers(
    app: CeleryApp, needs: Needs, *, enable_events: bool, clock: Clock = SYSTEM_CLOCK
) -> Answers:
    """Ask what the workers are configured with and hold, in one round.

    If wanted, let them send task events from now on.
    """
    if not answers_remote_control(app.connection_for_read()):
        return Answers()
    try:
        return _ask(app, enable_events=enable_events, clock=clock)
    except ConnectionError as error:
        right = missing_right(error, needs.answers)
        if right is None:
            return Answers(problem=Finding("workers", "failed", one_line(error)))
        return Answers(
            problem=Finding(
                "workers",
                "warning",
                f"cannot be asked: {right}",
                "Counting needs no more. Missing then: what only workers tell (PoolProcesses, "
                "TasksActive, TasksReserved, WorkerMemory), the names of tasks that already run "
                "at the start, enable_events, and workers without heartbeats.",
            )
        )


def _ask(app: CeleryApp, *, enable_events: bool, clock: Clock) -> Answers:
    question = Question(
        commands=["conf", *_HOLDING, *(["enable_events"] * enable_events)],
        arguments={"conf": {"with_defaults": True}},
    )
    configurations: dict[str, object] = {}
    replies: Counter[str] = Counter()
    turned_on: set[str] = set()
    workers: dict[str, WorkerAnswer] = {}
    tasks: list[HeldTask] = []
    for reply in replies_of(app, question, timeout=_REPLY_SECONDS, clock=clock):
        hostname = reply.hostname
        if reply.command == "conf":
            configurations[hostname] = reply.body
            replies[hostname] += 1
        elif reply.command in _HOLDING:
            workers[hostname] = with_reply(workers.get(hostname, WorkerAnswer(hostname)), reply)
            if reply.command in ("active", "scheduled"):
                tasks.extend(held_tasks(hostname, reply.body, now=clock.wall()))
        elif isinstance(reply.body, Mapping) and reply.body.get("ok") == "task events enabled":
            turned_on.add(hostname)
    return Answers(
        configurations=configurations,
        replies=replies,
        turned_on=frozenset(turned_on) if enable_events else None,
        workers=workers,
        tasks=tuple(tasks),
    )


def of_service(
    workers: Sequence[WorkerEvidence], answers: Answers, only: Only
) -> tuple[tuple[WorkerEvidence, ...], Answers]:
    """Return the workers of one service, as its monitor counts them, and their answers."""

    def reads(hostname: str) -> tuple[str, ...] | None:
        answer = answers.workers.get(hostname)
        return None if answer is None else answer.queues

    ours = tuple(each for each in workers if only.has_worker(each.hostname, reads(each.hostname)))
    names = {worker.hostname for worker in ours}
    return ours, replace(
        answers,
        configurations=_of(names, answers.configurations),
        workers=_of(names, answers.workers),
        tasks=tuple(
            task for task in answers.tasks if task.worker in names and only.has_task(task.name)
        ),
    )


def _of(names: Collection[str], by_hostname: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in by_hostname.items() if name in names}
