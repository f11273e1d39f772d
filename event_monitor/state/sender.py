"""Sender: the worker whose task events are being counted, and what each of them needs."""

from __future__ import annotations

from dataclasses import dataclass

from .cells import Cell
from .in_flight import InFlightTask
from .worker import TaskMeter, Worker

__all__ = ["Sender"]


@dataclass(slots=True)
class Sender:
    """Looked up once, for as long as its events follow each other."""

    hostname: str
    worker: Worker
    meter: TaskMeter  # has to be given each task-started
    running: dict[str, InFlightTask]  # the tasks that run there, by uuid
    cells: dict[str, Cell]  # in which its events are counted, by name
