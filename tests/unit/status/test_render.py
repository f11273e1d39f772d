"""Render: what people read, and what programs read."""

from __future__ import annotations

from dataclasses import replace

from event_monitor.liveness import SignOfLife
from event_monitor.snapshot import TaskInFlight
from event_monitor.status.render import as_json, as_text
from event_monitor.status.report import Report
from event_monitor.survey import QueueDepth, WorkerAnswer

from .cluster import RUNNING, SILENT, W1, judged, queue, report


def test_the_text_is_for_people_and_its_first_line_for_checks() -> None:
    """Aligned; columns of which nothing is known are left out."""
    found = report(running=RUNNING, queues=(queue(unacked=5, oldest_seconds=90.0),))

    assert as_text(found, judged(found)) == (
        "OK: 1 worker answers, 1 of 2 processes busy, 12 messages waiting\n"
        "\n"
        "worker   active  reserved  scheduled  processed  memory\n"
        "w1@host     1/2         4          0      1,234   58 MB\n"
        "\n"
        "queue   ready  unacked  oldest  status\n"
        "celery     12        5  1m 30s      ok\n"
        "\n"
        "longest running: 12m 05s, proj.long u2\n"
        "                 on w1@host"
    )


def test_a_queue_that_nobody_reads_is_flagged() -> None:
    """Beside its level; one that does not exist is nobody's to read."""
    found = report(
        queues=(
            replace(queue(150), consumers=0),
            QueueDepth("forgotten", ready=3, consumers=0),
            QueueDepth("gone", missing=True, consumers=0),
            QueueDepth("read", ready=0, consumers=1),
        )
    )

    lines = as_text(found, judged(found)).splitlines()

    assert [line.split(maxsplit=3)[-1] for line in lines if line[:4] in ("cele", "forg")] == [
        "warning, unread",
        "unread",
    ]
    assert "unread" not in "".join(line for line in lines if line[:4] in ("gone", "read"))
    assert [depth["unread"] for depth in documents(found)] == [True, True, False, False]


def documents(found: Report) -> list[dict[str, object]]:
    """The queues in JSON."""
    queues = as_json(found, judged(found))["queues"]
    assert isinstance(queues, list)
    return queues


def test_problems_come_first_the_worst_before_the_others() -> None:
    """In one line."""
    found = report(
        workers=None,
        queues=(queue(1_500, oldest_seconds=7_260.0),),
        unknown=("the workers cannot be asked",),
    )

    first = as_text(found, judged(found)).splitlines()[0]

    assert first == (
        "CRITICAL: queue celery: 1,500 waiting, the oldest for 2h 01m; the workers cannot be asked"
    )


def test_long_names_do_not_break_eighty_columns() -> None:
    """Beginning and end stay; what was not answered is a question mark."""
    deep = QueueDepth(
        "q" * 200,
        ready=1_234_567,
        unacked=65_535,
        consumers=120,
        oldest_seconds=3_601.0,
        arrivals_per_second=1.5,
        deliveries_per_second=2.0,
    )
    found = report(workers=(W1, SILENT), queues=(queue(), deep))

    text = as_text(found, judged(found))

    assert max(len(line) for line in text.splitlines()) <= 80
    (line,) = [line for line in text.splitlines() if line.startswith("w2@")]
    assert "…" in line
    assert "example" in line
    assert line.split()[1:] == ["2/?", "?", "?", "?", "?"]


def test_names_cannot_steer_the_terminal() -> None:
    """They come from whoever may write to the broker; escapes must fit the columns too."""
    found = report(
        workers=(WorkerAnswer("w\x1b[2J\n@" + "\x1b" * 100, active=0),),
        running=(TaskInFlight("u\x1b", "t\x07", "w\x1b[2J", running_since=1.0),),
        queues=(QueueDepth("q\x1b\r", ready=1),),
    )

    text = as_text(found, judged(found))

    assert text.replace("\n", "").isprintable()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "q\\x1b\\r" in text


def test_json_has_stable_keys_and_null_for_what_is_unknown() -> None:
    """Whole-value."""
    found = report(workers=(W1, SILENT), running=RUNNING)
    nothing = Report(at=1_000.0, unknown=("the broker is away",))

    full, empty = as_json(found, judged(found)), as_json(nothing, judged(nothing))

    assert full == {
        "status": "ok",
        "problems": [],
        "at": 1_000.0,
        "tasks": {
            "active": 3,
            "reserved": 4,
            "scheduled": 0,
            "oldest_running_seconds": 725.0,
            "oldest_running_name": "proj.long",
            "oldest_running_id": "u2",
            "oldest_running_worker": "w1@host",
            "too_long": [],
        },
        "workers": [
            {
                "hostname": "w1@host",
                "active": 1,
                "reserved": 4,
                "scheduled": 0,
                "revoked": 0,
                "pool_processes": 2,
                "memory_bytes": 58_000_000,
                "processed": 1_234,
                "queues": ("celery",),
            },
            {
                "hostname": SILENT.hostname,
                "active": 2,
                "reserved": None,
                "scheduled": None,
                "revoked": None,
                "pool_processes": None,
                "memory_bytes": None,
                "processed": None,
                "queues": None,
            },
        ],
        "queues": [
            {
                "name": "celery",
                "ready": 12,
                "unacked": None,
                "consumers": None,
                "oldest_seconds": None,
                "arrivals_per_second": None,
                "deliveries_per_second": None,
                "memory_bytes": None,
                "sampled": False,
                "missing": False,
                "unread": None,
                "status": "ok",
            }
        ],
        "recent": None,
        "monitor": None,
    }
    assert empty == {
        "status": "unknown",
        "problems": ["the broker is away"],
        "at": 1_000.0,
        "tasks": dict.fromkeys(
            (
                *("active", "reserved", "scheduled"),
                *("oldest_running_seconds", "oldest_running_name"),
                *("oldest_running_id", "oldest_running_worker", "too_long"),
            )
        ),
        "workers": None,
        "queues": None,
        "recent": None,
        "monitor": None,
    }


def test_the_monitor_of_this_machine_is_shown() -> None:
    """When it took its last shot, and when metrics were accepted last."""
    found = replace(
        report(),
        monitor=SignOfLife(
            12.0, 60.0, sending_seconds=3.0, deadline_seconds=15.0, accepted_seconds=95.0
        ),
    )

    assert as_text(found, judged(found)).splitlines()[-1] == (
        "monitor: the last shot was 12s ago, sending, for 3s then, "
        "metrics were last accepted 1m 35s ago"
    )
    assert as_json(found, judged(found))["monitor"] == {
        "shot_seconds": 12.0,
        "interval_seconds": 60.0,
        "sending_seconds": 3.0,
        "accepted_seconds": 95.0,
        "standby": False,
        "second": None,
    }


def test_a_monitor_that_stands_by_says_so() -> None:
    """When metrics were accepted last is another's to say."""
    found = replace(report(), monitor=SignOfLife(12.0, 60.0, running_seconds=95.0, role="standby"))

    assert as_text(found, judged(found)).splitlines()[-1] == (
        "monitor: standby, another monitor publishes, the last shot was 12s ago"
    )
