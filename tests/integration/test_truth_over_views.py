"""One truth: ``/metrics``, the JSON API, the history and CloudWatch say the same of each window."""

from __future__ import annotations

import html
import json
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from celery import Celery
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly_read
from prometheus_client.parser import text_string_to_metric_families

from event_monitor.history import FILE_NAME, HOUR, MINUTE, Reader, TaskPoint

from ..support.endpoint import Endpoint
from ..support.processes import Processes
from ..support.servers import free_port
from ..support.waiting import wait_until
from ..support.witness import Witness

PATIENCE = 60
INTERVAL = 5  # seconds, in which a slow machine, too, looks at each shot; a minute has twelve

#: Queue → task → calls. `call` calls two more that succeed.
SCRIPT = {
    "celery": {"succeed": 5, "fail": 3, "retry_then_succeed": 2},
    "elsewhere": {"succeed": 4, "fail_oddly": 2, "call": 1},
}
WAITING = 3  # tasks that nobody reads, sent before the monitor was there
_RUN = {"celery": 16, "elsewhere": 8}  # with retries, and the one that goes on
BY_QUEUE = {
    "sent": _RUN,
    "received": _RUN,
    "started": _RUN,
    "succeeded": {"celery": 9, "elsewhere": 5},
    "failed": {"celery": 3, "elsewhere": 2},
    "retried": {"celery": 4},
}
_ONCE = {"proj.fail": 3, "proj.fail_oddly": 2, "proj.retry_then_succeed": 6}
_ONCE |= {"proj.call": 1, "proj.hold": 1}
BY_NAME = {
    "sent": {**_ONCE, "proj.succeed": 11},
    "received": {**_ONCE, "proj.succeed": 11},
    "started": {**_ONCE, "proj.succeed": 11},
    "succeeded": {"proj.succeed": 11, "proj.retry_then_succeed": 2, "proj.call": 1},
    "failed": {"proj.fail": 3, "proj.fail_oddly": 2},
    "retried": {"proj.retry_then_succeed": 4},
}
EXCEPTIONS = {("proj.fail", "ValueError"): 3, ("proj.fail_oddly", "OddError"): 2}
TOTALS = {what: sum(by_queue.values()) for what, by_queue in BY_QUEUE.items()}
METRICS = {what: f"Tasks{what.title()}" for what in BY_QUEUE}
READS = {"w1@host1": ["celery"], "w2@host1": ["elsewhere"]}

Counts = Mapping[str, Mapping[str, float]]  # of what, by queue, name or worker; without zeros


@pytest.fixture
def broker(server: Callable[[str], Any]) -> str:
    """On Redis only: what is shown does not depend on the broker."""
    url: str = server("redis").fresh_url()
    return url


@pytest.fixture
def cloudwatch() -> Iterator[Endpoint]:
    """The strict one, which keeps the time of each datum."""
    with Endpoint() as endpoint:
        yield endpoint


class Page:
    """What the monitor serves by HTTP."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.shots: dict[float, dict[str, float]] = {}  # when each was opened → totals

    def is_there(self) -> bool:
        """Return whether it is served yet."""
        try:
            return bool(self.get("status"))
        except OSError:
            return False

    def get(self, path: str, **query: object) -> Any:
        """Return a document of the API."""
        return json.loads(self._read(f"/api/v1/{path}?{urlencode(query)}"))

    def look(self) -> Any:
        """Return the status, and keep the numbers of its shot; each is shown for an interval."""
        status = self.get("status")
        if status["shot"] is not None:
            self.shots[status["shot"]["opened_at"]] = status["shot"]["tasks"]
        return status

    def totals(self) -> dict[str, float]:
        """Return what the shots that were seen add up to."""
        return {what: sum(shot[what] for shot in self.shots.values()) for what in METRICS}

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and values of one metric in ``/metrics``, without zeros."""
        families = text_string_to_metric_families(self._read("/metrics").decode())
        samples = (sample for family in families for sample in family.samples)
        return [(one.labels, one.value) for one in samples if one.name == name and one.value]

    def openmetrics(self, family: str) -> list[Any]:
        """Return the samples of one family as OpenMetrics has them, with exemplars."""
        text = self._read("/metrics", Accept="application/openmetrics-text").decode()
        families = strictly_read(text)  # type: ignore[no-untyped-call]
        return [s for f in families if f.name == family for s in f.samples]

    def chart(self) -> dict[int, dict[str, float]]:
        """Return what the chart of the first screen draws of each minute, without zeros."""
        found = re.search(r"data-chart='([^']*)'", self._read("/").decode())
        drawn = json.loads(html.unescape(found[1] if found else "{}"))
        minutes = {
            at: {what: drawn[what][place] for what in ("succeeded", "failed") if drawn[what][place]}
            for place, at in enumerate(drawn["at"])
        }
        return {at: counts for at, counts in minutes.items() if counts}

    def words(self, path: str, **query: object) -> str:
        """Return the text of a page, as somebody reads it."""
        text = self._read(f"{path}?{urlencode(query)}").decode().partition("<main")[2]
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())

    def sums(self, name: str, label: str) -> dict[str, float]:
        """Return the same, added up by one label."""
        return added((labels[label], value) for labels, value in self.samples(name))

    def _read(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(f"{self._url}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: bytes = answer.read()
        return body


def added(pairs: Any) -> dict[Any, float]:
    """Add up by what stands before the number, without zeros."""
    sums: Counter[Any] = Counter()
    for key, number in pairs:
        sums[key] += number
    return {key: number for key, number in sums.items() if number}


def published(cloudwatch: Endpoint, dimension: str) -> Counts:
    """Return what CloudWatch has got in all by one dimension."""
    return {
        what: added(
            (datum.dimensions[0][1], sum(datum.values))
            for datum in cloudwatch.data
            if datum.name == metric and [name for name, _ in datum.dimensions] == [dimension]
        )
        for what, metric in METRICS.items()
    }


def published_at(cloudwatch: Endpoint, seconds: int) -> dict[int, dict[str, float]]:
    """Return the totals that CloudWatch has got by the time of their windows, without zeros."""
    return {
        at: totals
        for at in {int(datum.timestamp // seconds) * seconds for datum in cloudwatch.data}
        if (
            totals := added(
                (what, sum(datum.values))
                for what, metric in METRICS.items()
                for datum in cloudwatch.series(metric)
                if datum.timestamp // seconds * seconds == at
            )
        )
    }


def of_points(points: tuple[TaskPoint, ...], by: str) -> Counts:
    """Return what minutes or hours add up to, by queue or by name."""
    return {
        what: added((getattr(point, by), getattr(point, what)) for point in points)
        for what in METRICS
    }


def test_every_view_says_the_same_of_each_window(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """In all, by queue, name, exception and worker; by window and by minute; and what is now."""
    # Given two workers, tasks that nobody reads, and a monitor with all its views
    started = [
        (name, processes.worker(name, queues=queues, wait=False)) for name, queues in READS.items()
    ]
    for name, worker in started:
        worker.wait_for_output(f"{name} ready.")
    for _ in range(WAITING):
        client.tasks["proj.succeed"].apply_async(queue="waiting")
    port, state_dir = free_port(), tmp_path / "state"
    page = Page(port)
    everything = ",".join(METRICS.values())
    environ = {
        "HTTP": f"127.0.0.1:{port}",
        "HTTP_HOSTNAME_LABEL": "node",
        "HISTORY": "true",
        "STATE_DIR": str(state_dir),
        "BY_TASK": f"{everything},TaskRuntime",
        "BY_QUEUE": f"{everything},TaskRuntime,QueueLength,QueueUnacked,QueueConsumers",
        "BY_WORKER": everything.partition(",")[2],  # what is sent is of no worker
        "BY_TASK_AND_EXCEPTION": "true",
        "QUEUES": "waiting",
        "PROBE_SECONDS": "1",
    }
    processes.monitor(
        "run",
        interval_seconds=INTERVAL,
        environ={f"EVENT_MONITOR_{name}": value for name, value in environ.items()},
    )
    wait_until(page.is_there, PATIENCE, "the page is served")
    wait_until(
        # An event may overtake the task-sent that names its queue.
        lambda: {one["hostname"]: one["queues"] for one in page.get("workers")["items"]} == READS,
        PATIENCE,
        "the monitor knows who reads which queue",
    )

    # When every task of the script has ended, but for one that goes on
    for queue, tasks in SCRIPT.items():
        for name, times in tasks.items():
            for _ in range(times):
                client.tasks[f"proj.{name}"].apply_async(queue=queue)
    held = client.tasks["proj.hold"].apply_async((str(tmp_path / "go"),), queue="elsewhere").id
    ended = TOTALS["succeeded"] + TOTALS["failed"]

    def have_ended() -> bool:
        page.look()
        events = witness.events(type="task-succeeded") + witness.events(type="task-failed")
        return len(events) >= ended and bool(witness.events(type="task-started", uuid=held))

    wait_until(have_ended, PATIENCE, "all have ended")

    def is_published() -> bool:
        status = page.look()
        is_quiet = status["shot"] is not None and not any(status["shot"]["tasks"].values())
        depths = [datum.values for datum in cloudwatch.series("QueueLength", QueueName="waiting")]
        return is_quiet and page.totals() == TOTALS and depths[-1:] == [(WAITING,)]

    wait_until(is_published, PATIENCE, f"the shots have all of it: {page.shots}")

    witness.wait_for_beats(*READS)
    told = Counter(event["type"] for event in witness.events())
    told["task-sent"] -= WAITING
    assert {what: told[f"task-{what}"] for what in TOTALS} == TOTALS
    # And somebody has scraped: a series that he has not seen before is 0
    page.samples("celery_task_sent_total")

    # Then the counts are the same by queue, name, exception and worker
    def scraped(label: str) -> Counts:
        return {what: page.sums(f"celery_task_{what}_total", label) for what in METRICS}

    with Reader.open(state_dir / FILE_NAME) as reader:
        hours: dict[str, Any] = {"since": 0, "until": 2e9}
        wait_until(
            lambda: of_points(reader.task_points(HOUR, name=None, **hours), "name") == BY_NAME,
            PATIENCE,
            "the history is written",
        )
        by_queue = of_points(reader.task_points(HOUR, queue=None, **hours), "queue")
        by_name = of_points(reader.task_points(HOUR, name=None, **hours), "name")
        minutes = reader.task_points(MINUTE, **hours)
        failures = reader.failures()
        depths = reader.queue_points(MINUTE, name="waiting", **hours)
    assert scraped("queue_name") == published(cloudwatch, "QueueName") == by_queue == BY_QUEUE
    assert scraped("name") == published(cloudwatch, "TaskName") == by_name == BY_NAME
    by_worker = {**published(cloudwatch, "WorkerName"), "sent": {"generic": TOTALS["sent"]}}
    assert scraped("hostname") == by_worker
    assert {what: sum(of.values()) for what, of in by_worker.items()} == TOTALS
    assert (
        added(
            ((of["name"], of["exception"]), n) for of, n in page.samples("celery_task_failed_total")
        )
        == {
            of: cloudwatch.sum("TasksFailed", TaskName=of[0], ExceptionType=of[1])
            for of in EXCEPTIONS
        }
        == {(group.name, group.exception): group.count for group in failures}
        == {(of["name"], of["exception"]): of["count"] for of in page.get("failures")["items"]}
        == EXCEPTIONS
    )
    # and each failure names a task of its kind
    assert {
        (sample.labels["name"], sample.labels["exception"])
        for sample in page.openmetrics("celery_task_failed")
        if sample.exemplar
        and any(
            run["id"] == sample.exemplar.labels["task_id"]
            for run in page.get("tasks", state="failed", exception=sample.labels["exception"])[
                "items"
            ]
        )
    } == EXCEPTIONS.keys()
    # and so are the times
    for queue, succeeded in BY_QUEUE["succeeded"].items():
        series = page.get("series", queue=queue, span="hour")["tasks"]
        assert (
            cloudwatch.sample_count("TaskRuntime", QueueName=queue)
            == page.sums("celery_task_runtime_count", "queue_name")[queue]
            == sum(point["succeeded"] for point in series)
            == succeeded
        )
        seconds = cloudwatch.sum("TaskRuntime", QueueName=queue)
        assert page.sums("celery_task_runtime_sum", "queue_name")[queue] == pytest.approx(seconds)
        assert sum(point["runtime_sum"] for point in series) == pytest.approx(seconds)

    # And each window is the same, and each minute
    windows = published_at(cloudwatch, INTERVAL)
    shown = {
        int(at // INTERVAL) * INTERVAL: {what: n for what, n in shot.items() if n}
        for at, shot in page.shots.items()
    }
    assert {at: shot for at, shot in shown.items() if shot} == windows
    assert {
        point.at: {what: getattr(point, what) for what in METRICS if getattr(point, what)}
        for point in minutes
    } == published_at(cloudwatch, MINUTE)

    drawn = {
        at: {what: n for what, n in counts.items() if what in ("succeeded", "failed")}
        for at, counts in published_at(cloudwatch, MINUTE).items()
    }
    assert page.chart() == {at: counts for at, counts in drawn.items() if counts}

    # And what is now
    status, running = page.look(), page.get("running")
    assert [(task["id"], task["name"]) for task in running["items"]] == [(held, "proj.hold")]
    busy = running["items"][0]["worker"]
    assert running["count"] == status["live"]["running"] == last(cloudwatch, "TasksRunning") == 1
    workers = {one["hostname"]: one for one in page.get("workers")["items"]}
    assert {name: one["state"] for name, one in workers.items()} == dict.fromkeys(READS, "online")
    assert page.sums("celery_worker_up", "worker") == dict.fromkeys(READS, 1)
    assert last(cloudwatch, "WorkersOnline") == status["workers"]["online"] == len(READS)
    assert page.sums("celery_worker_tasks_active", "worker") == {busy: 1}
    (waiting,) = (one for one in page.get("queues")["items"] if one["name"] == "waiting")
    assert (
        waiting["ready"]
        == page.sums("celery_queue_length", "queue_name")["waiting"]
        == last(cloudwatch, "QueueLength", QueueName="waiting")
        == depths[-1].ready
        == WAITING
    )
    first_screen = page.words("/")
    assert f"{len(EXCEPTIONS)} kinds, {TOTALS['failed']} tasks" in first_screen
    assert "0 failed , 0 retried · 1 running" in first_screen
    assert f"waiting nobody reads it {WAITING} " in first_screen
    assert f"{len(READS)} online" in first_screen
    for name, exception in EXCEPTIONS:
        groups = page.words("/failures", name=name)
        assert f"{name} new {exception}" in groups
        assert f" {EXCEPTIONS[name, exception]} {EXCEPTIONS[name, exception]} " in groups


def last(cloudwatch: Endpoint, metric: str, **dimensions: str) -> float:
    """Return the newest value of one series."""
    return cloudwatch.series(metric, **dimensions)[-1].values[-1]
