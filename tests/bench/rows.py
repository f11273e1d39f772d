"""Rows: who is measured, how each is started, and where each writes what it has counted."""

from __future__ import annotations

import contextlib
import re
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from event_monitor.testing import StrictCloudWatch

from ..support.servers import free_port
from .wire import events_in

INTERVAL_SECONDS = 5

METRIC_OF = {
    "task-sent": "TasksSent",
    "task-received": "TasksReceived",
    "task-started": "TasksStarted",
    "task-succeeded": "TasksSucceeded",
    "task-failed": "TasksFailed",
    "task-retried": "TasksRetried",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What each run of a row has for itself."""

    url: str
    count: Path
    port: int
    cloudwatch: StrictCloudWatch


@dataclass(frozen=True, slots=True)
class Row:
    """``events`` is how many it is given at full speed: enough for seconds of CPU time."""

    name: str
    brokers: tuple[str, ...]
    events: int
    command: Callable[[Place], list[str]]
    counted: Callable[[Place], int]
    unit: str = "events"  # or messages, or task events
    reports: bool = True  # while it runs; else only at its end
    is_paced: bool = True  # also run at fixed rates
    is_ours: bool = False
    is_slow: bool = False  # left out by --quick
    is_viewed: bool = False  # people look at what it serves at the place's port, while it runs

    def sent(self, truth: Counter[str]) -> int:
        """Return what it should have counted, in its own unit."""
        if self.unit == "messages":
            return truth["messages"]
        heartbeats = truth["worker-heartbeat"] if self.unit == "task events" else 0
        return events_in(truth) - heartbeats


def wrong(cloudwatch: StrictCloudWatch, truth: Counter[str]) -> str:
    """Return the sums at the endpoint that are not the truth; "" when all are."""
    sums = {metric: truth[type_] for type_, metric in METRIC_OF.items()}
    sums |= {"EventsInvalid": 0, "EventsLost": 0, "EventsReceived": events_in(truth)}
    found = {metric: int(cloudwatch.sum(metric)) for metric in sums}
    return ", ".join(
        f"{name} {found[name]}" for name, right in sums.items() if found[name] != right
    )


def _yardstick(name: str) -> Callable[[Place], list[str]]:
    return lambda _place: ["python", "-m", "tests.bench.consumers", name]


def _written(place: Place) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(place.count.read_text())
    return 0


def _published(place: Place) -> int:
    return int(place.cloudwatch.sum("EventsReceived"))


def _scraped(place: Place, counters: re.Pattern[str]) -> int:
    """Return what the counters with these names add up to on its page for Prometheus."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if counters.match(line)))


_FLOWER = re.compile(r"flower_events_total\{")
_EXPORTER = re.compile(r"celery_task_(received|started|succeeded|failed|retried)_total\{")
_EXPORTER_PYTHON = Path(__file__).parents[2] / ".venv-exporter" / "bin" / "python"


def place_for(url: str, folder: Path, *, cloudwatch: StrictCloudWatch) -> Place:
    """Return a place of its own for a run."""
    return Place(url, folder / "count", free_port(), cloudwatch)


#: The module that each run finds a copy of ``proj.py`` under, whichever checkout is measured.
PROJECT = "bench_project"
_CELERY = ("python", "-m", "celery", "-A", PROJECT)

#: celery-exporter, if `scripts/bench` could install it: it has needs of its own.
_EXPORTERS = (
    Row(
        "celery-exporter",
        ("redis", "rabbitmq"),
        40_000,
        lambda place: [
            *(str(_EXPORTER_PYTHON), "-c", "from src.cli import cli; cli()"),
            *(f"--broker-url={place.url}", "--host=127.0.0.1", f"--port={place.port}"),
        ],
        lambda place: _scraped(place, _EXPORTER),
        unit="task events",
        is_slow=True,
    ),
)[: _EXPORTER_PYTHON.exists()]

ROWS = (
    Row(
        *("bare-socket floor", ("redis",), 1_000_000, _yardstick("socket_floor"), _written),
        reports=False,
        is_paced=False,
    ),
    Row(
        *("raw kombu consumer", ("rabbitmq",), 600_000),
        *(_yardstick("kombu_raw"), _written, "messages"),
        reports=False,
        is_paced=False,
    ),
    Row(
        *("raw kombu + decoding", ("rabbitmq",), 600_000, _yardstick("kombu_decoding"), _written),
        reports=False,
        is_paced=False,
        is_slow=True,
    ),
    Row(
        "event-monitor run",
        ("redis", "rabbitmq"),
        1_000_000,
        lambda place: [
            *("python", "-m", "event_monitor", "run", "-b", place.url),
            *("--interval", str(INTERVAL_SECONDS)),
        ],
        _published,
        is_ours=True,
    ),
    Row(
        "celery events -c ours",
        ("redis", "rabbitmq"),
        1_000_000,
        lambda _place: [
            *(*_CELERY, "events", "-c", "event_monitor.CloudWatchCam"),
            *("-F", str(INTERVAL_SECONDS)),
        ],
        _published,
        is_ours=True,
        is_paced=False,
        is_slow=True,
    ),
    Row(
        *("Celery Receiver, empty", ("redis", "rabbitmq"), 200_000),
        *(_yardstick("receiver"), _written),
        reports=False,
    ),
    Row(
        "Celery State camera",
        ("redis", "rabbitmq"),
        100_000,
        lambda _place: [*_CELERY, "events", "-c", f"{PROJECT}.Counting", "-F", "1"],
        _written,
    ),
    Row(
        "Flower",
        ("redis", "rabbitmq"),
        40_000,
        lambda place: [*_CELERY, "flower", "--address=127.0.0.1", f"--port={place.port}"],
        lambda place: _scraped(place, _FLOWER),
        unit="task events",
        is_slow=True,
    ),
    *_EXPORTERS,
)

#: Ours with all its views, while people look; a row without any is what it is compared with.
OURS_VIEWED = Row(
    *("event-monitor run, viewed", ("redis", "rabbitmq"), 1_000_000),
    lambda place: [
        *("python", "-m", "event_monitor", "run", "-b", place.url),
        *("--interval", str(INTERVAL_SECONDS), "--http", f"127.0.0.1:{place.port}"),
        *("--history", "--state-dir", str(place.count.with_name("state"))),
    ],
    _published,
    is_ours=True,
    is_viewed=True,
)

#: Ours with a shot a minute, as it is by default.
OURS_MINUTELY = Row(
    *("event-monitor run", ("redis", "rabbitmq"), 1_000_000),
    lambda place: ["python", "-m", "event_monitor", "run", "-b", place.url],
    _published,
    is_ours=True,
)

#: Ours with no shot before its end, so that nothing but events costs it anything.
OURS_QUIET = Row(
    *("event-monitor run", ("redis", "rabbitmq"), 1_000_000),
    lambda place: [
        *("python", "-m", "event_monitor", "run", "-b", place.url),
        *("--interval", "3600"),
    ],
    _published,
    reports=False,
    is_ours=True,
)
