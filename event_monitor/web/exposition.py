"""Exposition: the text that Prometheus scrapes, under celery-exporter's names and our own.

Written here: ``prometheus_client`` takes 11 µs a line, or 18 in OpenMetrics, and its objects; this
takes one. Its strict parser reads what is written, in the tests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from ..catalog import Source
from ..metrics.source_values import SourceValues
from ..survey import Survey
from .cells import BOUNDS, COUNTERS, Cell, Shown, ShownTimes, label_of
from .exemplars import Exemplar, Exemplars
from .own_metrics import BY_QUEUE, OWN_METRICS, name_of

__all__ = ["MOST_LINES", "OPENMETRICS", "TEXT", "Page", "wants_openmetrics"]

MOST_LINES = 20_000
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

_MOST_QUEUES = 250
# An exemplar has 128 characters in its labels, and not every parser reads what is escaped there.
_ID = re.compile(r"[A-Za-z0-9_.:/@-]{1,121}")  # and `task_id` has seven
_LINES_OF_COMMENT = 2  # HELP and TYPE
_LES = (*(str(float(bound)) for bound in BOUNDS), "+Inf")
_COUNTED: Mapping[str, str] = {
    "sent": "Tasks published by producers that send task-sent events.",
    "received": "Tasks taken from a queue by a worker.",
    "started": "Runs begun.",
    "succeeded": "Tasks that returned.",
    "retried": "Runs that ended in a retry.",
    "revoked": "Tasks that were revoked.",
    "rejected": "Tasks that were rejected.",
}


class _Family(NamedTuple):
    """Lines of one name: ``samples`` are what follows the name, with their values."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    what: str
    samples: Sequence[tuple[str, float]]
    exemplars: Mapping[str, Exemplar] = {}  # by what follows the name

    @property
    def lines(self) -> int:
        return len(self.samples) + _LINES_OF_COMMENT

    def text(self, *, openmetrics: bool) -> str:
        """Return its lines; OpenMetrics names a counter without what its samples end in."""
        name, samples = self.name, self.samples
        title = f"{name}_total" if self.kind == "counter" and not openmetrics else name
        what = _escaped(self.what) if openmetrics else self.what
        head = f"# HELP {title} {what}\n# TYPE {title} {self.kind}\n"
        if not openmetrics or not self.exemplars:
            return head + "".join([f"{name}{rest} {_number(value)}\n" for rest, value in samples])
        find = self.exemplars.get
        return head + "".join(
            f"{name}{rest} {_number(value)}{_exemplar(find(rest))}\n" for rest, value in samples
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one scrape shows.

    Series born at or after ``new_from`` are shown as 0: one that begins at 1 has no increase. The
    bound of lines holds if the cells leave some to queues and workers.
    """

    cells: Sequence[tuple[Cell, Shown]]
    new_from: int
    workers: Mapping[str, tuple[int, int | None]]  # nodename → up, active
    survey: Survey
    totals: Mapping[Source, float]
    by_queue: Mapping[str, SourceValues]
    exemplars: Exemplars | None = None

    def text(self, *, openmetrics: bool) -> bytes:
        """Return the page."""
        families = [*self._of_cells(), *self._of_queues(), *self._own()]
        room = MOST_LINES - sum(family.lines for family in families)
        families += self._of_workers(room=room - 2 * _LINES_OF_COMMENT - 1)
        texts = [family.text(openmetrics=openmetrics) for family in families]
        return "".join([*texts, "# EOF\n" if openmetrics else ""]).encode()

    def _of_cells(self) -> Iterator[_Family]:
        zero = Shown()
        shown = [
            (cell, zero if cell.born >= self.new_from else values, _labels_of(cell))
            for cell, values in self.cells
        ]
        for place, name in enumerate(COUNTERS):
            samples = [(f"_total{{{labels}}}", values.counts[place]) for _, values, labels in shown]
            yield _Family(f"celery_task_{name}", "counter", _COUNTED[name], samples)
        yield self._failures()
        timed = [(values, labels) for cell, values, labels in shown if cell.has_times]
        yield _Family(
            "celery_task_runtime",
            "histogram",
            "How long tasks that succeeded ran, in seconds.",
            [s for values, labels in timed for s in _histogram(labels, values.runtime)],
            self._exemplars_of_runtimes(),
        )
        yield _Family(
            "celery_task_queue_wait_time",
            "histogram",
            "From publishing, or the eta, to the start, in seconds.",
            [s for values, labels in timed for s in _histogram(labels, values.queue_time)],
        )

    def _failures(self) -> _Family:
        samples, exemplars = [], {}
        for cell, values in self.cells:
            labels = _labels_of(cell)
            last = self.exemplars.failed(cell) if self.exemplars else {}
            for exception, count in values.failed:
                is_new = cell.exceptions[exception] >= self.new_from
                rest = f'_total{{{labels},exception="{_escaped(exception)}"}}'
                samples.append((rest, 0 if is_new else count))
                if exception in last and count and not is_new:
                    exemplars[rest] = last[exception]
        what = "Tasks that failed, by the class of the exception."
        return _Family("celery_task_failed", "counter", what, samples, exemplars)

    def _exemplars_of_runtimes(self) -> Mapping[str, Exemplar]:
        return {
            _bucket(_labels_of(cell), _LES[place]): exemplar
            for cell, values in self.cells
            if self.exemplars and cell.has_times and cell.born < self.new_from
            for place, exemplar in self.exemplars.ran(cell).items()
            if values.runtime.counts[place]
        }

    def _of_workers(self, *, room: int) -> Iterator[_Family]:
        up: list[tuple[str, float]] = []
        active: list[tuple[str, float]] = []
        for nodename, (is_up, tasks) in islice(self.workers.items(), max(0, room // 2)):
            hostname, worker = _escaped(label_of(nodename, "host")), _escaped(nodename)
            labels = f'{{hostname="{hostname}",worker="{worker}"}}'
            up.append((labels, is_up))
            if tasks is not None:
                active.append((labels, tasks))
        what = "1 for a worker whose heartbeats come, else 0."
        yield _Family("celery_worker_up", "gauge", what, up)
        what = "Tasks that a worker says it runs."
        yield _Family("celery_worker_tasks_active", "gauge", what, active)

    def _of_queues(self) -> Iterator[_Family]:
        queues = dict(islice(self.by_queue.items(), _MOST_QUEUES))
        workers, processes = _readers(self.survey, queues)
        for name, what, values in (
            ("queue_length", "Messages ready for a worker.", _of("queue_length", queues)),
            ("active_consumer_count", "Consumers of a queue.", _of("queue_consumers", queues)),
            ("active_worker_count", "Workers that read a queue.", workers),
            ("active_process_count", "Pool processes of these workers.", processes),
        ):
            yield _gauge(f"celery_{name}", what, values)
        for spec in OWN_METRICS:
            if spec.source in BY_QUEUE:
                yield _gauge(name_of(spec), spec.meaning, _of(spec.source, queues))

    def _own(self) -> Iterator[_Family]:
        for spec in OWN_METRICS:
            value = self.totals.get(spec.source)
            if value is None or spec.source in BY_QUEUE:
                continue
            if spec.kind == "count":
                is_new = self.new_from == 0  # nobody has seen any yet
                samples = [("_total", 0 if is_new else value)]
                yield _Family(name_of(spec), "counter", spec.meaning, samples)
            else:
                yield _Family(name_of(spec), "gauge", spec.meaning, [("", value)])


def wants_openmetrics(accept: str) -> bool:
    """Return whether an Accept header names OpenMetrics; Prometheus's does."""
    return any(
        part.partition(";")[0].strip() == "application/openmetrics-text"
        for part in accept.lower().split(",")
    )


def _labels_of(cell: Cell) -> str:
    hostname, name, queue = map(_escaped, (cell.hostname, cell.name, cell.queue))
    return f'hostname="{hostname}",name="{name}",queue_name="{queue}"'


def _escaped(text: str) -> str:
    """Return the value of a label; lone surrogates, which have no UTF-8, are written out."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if isinstance(value, int) or math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _histogram(labels: str, times: ShownTimes) -> Iterator[tuple[str, float]]:
    for le, count in zip(_LES, times.counts, strict=True):
        yield _bucket(labels, le), count
    yield f"_count{{{labels}}}", times.counts[-1]
    yield f"_sum{{{labels}}}", times.sum


def _bucket(labels: str, le: str) -> str:
    return f'_bucket{{{labels},le="{le}"}}'


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None or not _ID.fullmatch(exemplar.task_id):
        return ""
    return f' # {{task_id="{exemplar.task_id}"}} {_number(exemplar.value)} {_number(exemplar.at)}'


def _of(source: Source, queues: Mapping[str, SourceValues]) -> Mapping[str, object]:
    return {name: values.get(source) for name, values in queues.items()}


def _gauge(name: str, what: str, by_queue: Mapping[str, object]) -> _Family:
    samples = [
        (f'{{queue_name="{_escaped(queue)}"}}', value)
        for queue, value in by_queue.items()
        if isinstance(value, int | float)
    ]
    return _Family(name, "gauge", what, samples)


def _readers(
    survey: Survey, queues: Iterable[str]
) -> tuple[Mapping[str, int | None], Mapping[str, int | None]]:
    """Return the workers, and their processes, by queue; nothing of one with unsure readers."""
    workers: dict[str, int | None] = {}
    processes: dict[str, int | None] = {}
    if survey.workers is None:
        return workers, processes
    for queue in queues:
        if any(absent.may_read((queue,)) for absent in survey.absent):
            continue
        pools = [
            answer.pool_processes
            for answer in survey.workers
            if answer.queues is not None and queue in answer.queues
        ]
        workers[queue] = len(pools)
        known = [pool for pool in pools if pool is not None]
        processes[queue] = sum(known) if len(known) == len(pools) else None
    return workers, processes
