"""Prometheus: a real one scrapes the monitor, and what dashboards and alerts ask has its answer.

The queries are ours, of the kinds that celery-exporter's dashboards and alerts have.
"""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from celery import Celery

from ..support.processes import Process, Processes
from ..support.prometheus import JOB, Prometheus, promtool
from ..support.servers import Server, free_port
from ..support.waiting import wait_until
from ..support.witness import Witness

TASKS = {
    "proj.succeed": 30,
    "proj.fail": 20,
    "proj.elsewhere": 4,
    "proj.retry_then_succeed": 2,
    "proj.reject": 3,
}
_OF_JOB = f'job=~".*{JOB}.*",queue_name!~"None"'
_BY_TASK = "sum by (job, queue_name, name)"
_FAILURE_RATE = (
    f"{_BY_TASK} (increase(celery_task_failed_total{{{_OF_JOB}}}[10m]))"
    f" / ({_BY_TASK} (increase(celery_task_failed_total{{{_OF_JOB}}}[10m]))"
    f" + {_BY_TASK} (increase(celery_task_succeeded_total{{{_OF_JOB}}}[10m]))) * 100 > 5"
)
RULES = f"""\
groups:
- name: celery
  rules:
  - {{alert: HighFailRate, expr: '{_FAILURE_RATE}', for: 1s}}
  - {{alert: HighQueueLength, for: 1s, expr: 'sum by (job, queue_name)
      (celery_queue_length{{{_OF_JOB}}}) > 100'}}
  - {{alert: WorkerDown, expr: 'celery_worker_up{{job=~".*{JOB}.*"}} == 0', for: 1s}}
"""


@pytest.fixture
def broker(server: Callable[[str], Server]) -> str:
    """On Redis only: what is scraped does not depend on the broker."""
    return server("redis").fresh_url()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def monitor(processes: Processes, port: int) -> Process:
    """A monitor that serves numbers, and whose workers are lost soon."""
    environ = {
        "EVENT_MONITOR_HTTP": f"127.0.0.1:{port}",
        "EVENT_MONITOR_WORKER_GRACE_SECONDS": "10",  # in which a slow machine's worker beats
        "EVENT_MONITOR_PROBE_SECONDS": "1",
    }
    return processes.monitor("run", environ=environ)


@pytest.fixture
def prometheus(
    monitor: Process, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """One that has scraped the monitor."""
    del monitor
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), port, rules=RULES)
    wait_until(lambda: prometheus.value(f'up{{job="{JOB}"}}') == 1, 60, "it scrapes")
    yield prometheus
    prometheus.stop()


def increase(metric: str, by: str = "name") -> str:
    return f"sum by ({by}) (round(increase({metric}{{{_OF_JOB}}}[1h])))"


def shown(prometheus: Prometheus, metric: str) -> dict[str, float]:
    """Return the counter by task name, without zeros."""
    found = prometheus.query(f"sum by (name) ({metric}{{{_OF_JOB}}}) > 0")
    return {labels["name"]: value for labels, value in found}


def become(look: Callable[[], object], expected: object) -> None:
    """Wait until it is shown: the monitor learns it, and then it is scraped."""
    wait_until(lambda: look() == expected, 60, f"{look} is {expected!r}")


def test_what_dashboards_and_alerts_ask_is_answered_with_the_truth(
    prometheus: Prometheus, processes: Processes, client: Celery, witness: Witness, port: int
) -> None:
    """Counters, times, queues, workers, and the three alerts; nobody has to wait for a shot."""
    # Given a worker, and every kind of task that dashboards count
    worker = processes.worker("w1@host1")
    results = [client.tasks[name].delay() for name, times in TASKS.items() for _ in range(times)]
    for result in results:
        witness.wait_for(60, uuid=result.id)
    succeeded = {"proj.succeed": 30.0, "proj.elsewhere": 4.0, "proj.retry_then_succeed": 2.0}
    wait_until(
        lambda: shown(prometheus, "celery_task_succeeded_total") == succeeded, 60, "all are shown"
    )
    wait_until(
        lambda: shown(prometheus, "celery_task_rejected_total") == {"proj.reject": 3.0},
        30,
        "rejected ones are shown once their window is closed",
    )

    # Then the counters are what happened, by name, and together
    for metric, expected in {
        "celery_task_sent_total": {**TASKS, "proj.retry_then_succeed": 6},
        "celery_task_received_total": {**TASKS, "proj.retry_then_succeed": 6},
        "celery_task_started_total": {**TASKS, "proj.retry_then_succeed": 6},
        "celery_task_failed_total": {"proj.fail": 20},
        "celery_task_retried_total": {"proj.retry_then_succeed": 4},
        "celery_task_revoked_total": {},
        "celery_task_runtime_count": succeeded,
        "celery_task_queue_wait_time_count": {**TASKS, "proj.retry_then_succeed": 6},
    }.items():
        become(partial(shown, prometheus, metric), expected)
    # and they have an increase, for each began at 0
    assert {
        labels["name"]
        for labels, value in prometheus.query(increase("celery_task_failed_total"))
        if value
    } == {"proj.fail"}
    failed = prometheus.query(f"celery_task_failed_total{{{_OF_JOB}}} > 0")
    assert [(labels["exception"], labels["queue_name"], value) for labels, value in failed] == [
        ("ValueError", "celery", 20.0)
    ]
    by_queue = prometheus.query(f"sum by (queue_name) (celery_task_sent_total{{{_OF_JOB}}})")
    assert {labels["queue_name"]: value for labels, value in by_queue} == {
        "celery": 30 + 20 + 6 + 3,
        "elsewhere": 4,
    }
    assert prometheus.query(f"topk(10, {increase('celery_task_received_total', 'queue_name')})")
    for quantile in ("0.50", "0.99"):
        p = prometheus.value(
            f"histogram_quantile({quantile}, sum by (job, le) "
            f"(rate(celery_task_runtime_bucket{{{_OF_JOB}}}[1h])))"
        )
        assert p is not None
        assert 0 < p < 5
    runtime = "sum(rate(celery_task_runtime_{}[1h]))"
    mean = prometheus.value(f"{runtime.format('sum')} / {runtime.format('count')} > 0")
    assert mean is not None

    # and workers and queues are there, once they were asked
    for expression, value in {
        'celery_active_process_count{queue_name="celery"}': 2,
        f"count(celery_worker_up{{{_OF_JOB}}} == 1)": 1,
        f"sum(celery_worker_tasks_active{{{_OF_JOB}}})": 0,
        "count(group by (queue_name) (celery_queue_length))": 2,
        'celery_active_worker_count{queue_name="celery"}': 1,
    }.items():
        become(partial(prometheus.value, expression), value)
    become(prometheus.firing, {"HighFailRate"})

    # And when the worker is lost and tasks pile up, that alarms too
    worker.kill()
    for _ in range(101):
        client.tasks["proj.succeed"].delay()
    everything = {"HighFailRate", "HighQueueLength", "WorkerDown"}
    become(prometheus.firing, everything)
    become(partial(prometheus.value, "celery_workers_lost_total"), 1)

    # And promtool has nothing to say but of names that are celery-exporter's
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        code, said = promtool("check", "metrics", stdin=answer.read())
    told = {line.partition(" ")[0] for line in said.splitlines() if line}
    assert told <= {f"celery_active_{what}_count" for what in ("consumer", "process", "worker")}, (
        code,
        said,
    )


def test_sigterm_with_ten_who_look_is_answered_as_with_none(monitor: Process, port: int) -> None:
    """Some read a stream, some send half a request, some nothing."""
    viewers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(10)]
    for viewer in viewers[:5]:
        viewer.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert viewer.recv(100).startswith(b"HTTP/1.1 200")
    for viewer in viewers[5:8]:
        viewer.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: lo")
    assert monitor.stop() == 0
    for viewer in viewers:
        viewer.close()
