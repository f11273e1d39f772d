"""Site: the monitor's own web server, with what it shows in the test's hands."""

from __future__ import annotations

import time
from typing import Any

from event_monitor.clock import SYSTEM_CLOCK
from event_monitor.distribution import Distribution
from event_monitor.history import Recorder
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    BrokerLink,
    EndedTask,
    Live,
    OrphanedTask,
    RunningTask,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer
from event_monitor.web import Web

from ..support.servers import free_port, listens
from ..support.waiting import wait_until

PLACE = "/app/shop/pay.py:88 in charge"
TRACEBACK = (
    b'"Traceback (most recent call last):\\n'
    b'  File \\"/venv/lib/python3.12/site-packages/celery/trace.py\\", line 453, in trace_task\\n'
    b"    R = retval = fun(*args, **kwargs)\\n"
    b'  File \\"/app/shop/pay.py\\", line 88, in charge\\n    raise GatewayTimeout(order)\\n'
    b'GatewayTimeout: order 7"'
)


class Site:
    """Serves at ``address``, from real parts, what ``show`` and ``end`` let happen."""

    def __init__(self, **settings: Any) -> None:
        port = free_port()
        self.settings = Settings(
            namespace="shop-prod",
            http=f"127.0.0.1:{port}",
            history=True,
            history_details=("message", "traceback", "args"),
            queue_length_limits=(("*", (50.0, 1_000.0)),),
            **settings,
        )
        self.address = f"http://127.0.0.1:{port}"
        self.now = time.time()
        self.problem: str | None = None
        self.live = Live(taken_at=self.now, opened_at=self.now - 5)
        self.recorder = Recorder(self.settings)
        self.recorder.open()
        self._web = Web(
            self.settings,
            peek=lambda: self.live,
            problem=lambda: self.problem,
            accepted_at=lambda: self.now - 12,
            history=self.recorder.reader,
            broker="redis://cache:6379/0",
            default_queue="celery",
            clock=SYSTEM_CLOCK,
        )
        self._web.open()
        wait_until(lambda: listens(port), 30, "the site is served")
        wait_until(self._has_history, 30, "the history is open")

    def _has_history(self) -> bool:
        self.recorder.flush()
        return True

    def close(self) -> None:
        """Serve no more."""
        self._web.close()
        self.recorder.close()

    def end(self, *tasks: EndedTask) -> None:
        """Let tasks end."""
        self.recorder.on_tasks(tasks)
        self.recorder.flush()

    def show(self, *, minutes_ago: float = 0.0, **fields: Any) -> Snapshot:
        """Take a shot with these fields."""
        at = self.now - 60 * minutes_ago
        counts = TaskCounts(
            sent=60,
            received=60,
            succeeded=60,
            runtime=Distribution((0.5, 8.0), (58, 2)),
            queue_time=Distribution((0.2,), (60,)),
        )
        fields.setdefault(
            "window",
            Window(
                at - 60,
                at,
                tasks=(("shop.pay", counts),),
                by_queue=(("pay", counts),),
                by_task_and_queue=(("shop.pay", "pay", counts),),
            ),
        )
        fields.setdefault("workers", tuple(worker(f"celery@pay-{n}") for n in range(3)))
        fields.setdefault("survey", survey())
        snapshot = Snapshot(**fields)
        self._web(snapshot)
        self.recorder.on_snapshot(snapshot)
        self.recorder.flush()
        return snapshot

    def run(self, *tasks: RunningTask, **counted: Any) -> None:
        """Let these run, and this be counted since the last shot."""
        self.live = Live(
            taken_at=self.now,
            opened_at=self.now - 5,
            tasks=(("shop.pay", TaskCounts(**counted)),),
            running=tasks,
            running_count=len(tasks),
            link=self.live.link,
        )


def worker(name: str, state: WorkerState = WorkerState.ONLINE, **fields: Any) -> WorkerStatus:
    return WorkerStatus(name, state, silent_seconds=2.0, **{"active": 1, **fields})


def survey(*queues: QueueDepth) -> Survey:
    return Survey(
        queues=queues
        or (
            QueueDepth("pay", ready=31, unacked=8, consumers=3, oldest_seconds=4.0),
            QueueDepth("mail", ready=0, unacked=0, consumers=3),
        ),
        queues_age_seconds=1.0,
        workers=tuple(
            WorkerAnswer(
                f"celery@pay-{n}", pool_processes=4, memory_bytes=212_000_000, queues=("pay",)
            )
            for n in range(3)
        ),
        stalled=(),
    )


def failed(number: int, name: str = "shop.pay", **fields: Any) -> EndedTask:
    values: dict[str, Any] = {
        "exception": "GatewayTimeout",
        "place": PLACE,
        "worker": "celery@pay-1",
        "queue": "pay",
        "details": (("message", b'"GatewayTimeout(7)"'), ("traceback", TRACEBACK)),
        **fields,
    }
    now = time.time()
    times = {"sent": now - 3, "received": now - 2, "started": now - 1, "ended": now}
    return EndedTask(id=f"task-{number}", name=name, how="failed", **{**times, **values})


def all_well(site: Site) -> None:
    """Nothing is wrong."""
    for minute in range(5, -1, -1):
        site.show(minutes_ago=minute)


def worker_lost(site: Site) -> None:
    """One went silent with three tasks."""
    all_well(site)
    orphans = tuple(OrphanedTask(f"o{n}", "shop.pay") for n in range(3))
    site.show(
        workers=(worker("celery@pay-0"), worker("celery@pay-7f9c", WorkerState.LOST)),
        losses=(WorkerLoss("celery@pay-7f9c", 90.0, orphans=orphans),),
    )


def queue_growing(site: Site) -> None:
    """More comes in than goes out, one is not read, and another is unknown."""
    pay = QueueDepth(
        *("pay", 1_204, 16, 2, 372.0),
        arrivals_per_second=9.1,
        deliveries_per_second=5.8,
    )
    exports = QueueDepth("exports", ready=9, unacked=0, consumers=0)
    site.show(survey=survey(pay, exports, QueueDepth("far")))


def failures(site: Site) -> None:
    """Tasks failed, and others run too long and stay away."""
    all_well(site)
    site.end(*(failed(number) for number in range(12)))
    site.end(
        failed(
            100, "mail.send", exception="SMTPServerDisconnected", place="/app/mail.py:41 in deliver"
        )
    )
    site.run(RunningTask("r1", "shop.pay", "celery@pay-1", site.now - 2_880), failed=2)
    overdue = ScheduledTask("sync-stock", site.now - 1_140, site.now - 540, overdue_seconds=480.0)
    site.show(scheduled=(overdue, ScheduledTask("nightly", site.now - 9_000, site.now + 75_600)))


def just_started(site: Site) -> None:
    """No shot was taken yet."""
    site.live = Live(taken_at=site.now, opened_at=site.now, link=BrokerLink.CONNECTING)


def broker_away(site: Site) -> None:
    """The connection was lost."""
    all_well(site)
    site.show(link=BrokerLink.AWAY)


def data_stale(site: Site) -> None:
    """No shot is taken any more."""
    site.show(minutes_ago=9)
    site.problem = "the monitor's last shot was 540 s ago."
