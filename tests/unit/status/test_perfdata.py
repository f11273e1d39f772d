"""Performance data: numbers that Nagios and Munin read behind the first line."""

from __future__ import annotations

from dataclasses import replace

from event_monitor.settings import Settings
from event_monitor.status.perfdata import perfdata
from event_monitor.status.render import as_json, as_text
from event_monitor.status.report import FailureKind, Recent, judge
from event_monitor.survey import QueueDepth

from .cluster import SETTINGS, SILENT, judged, queue, report

RECENT = Recent(
    seconds=600.0,
    succeeded=497,
    failed=3,
    kinds=(
        FailureKind(
            name="shop.pay",
            exception="GatewayTimeout",
            place="shop/pay.py:88 in charge",
            count=3,
            last_id="u9",
        ),
    ),
)


def test_what_is_known_is_a_number_with_its_limits() -> None:
    """A label, its value and unit, then warning, critical, least and most."""
    found = replace(
        report(queues=(queue(12), QueueDepth("it's a | queue", ready=3))), recent=RECENT
    )
    assert perfdata(found, SETTINGS, min_workers=2) == (
        "workers=1;;2:;0 active=1;;;0;2 waiting=15;;;0 'queue celery'=12;100;1000;0 "
        "'queue it_s a _ queue'=3;;;0 failed=3;;;0 success=99.40%;;;0;100"
    )


def test_what_is_unknown_is_left_out() -> None:
    """A part of a sum would look like all of it."""
    found = report(workers=(SILENT,), queues=(queue(None), QueueDepth("gone", missing=True)))
    assert perfdata(found, Settings(), min_workers=1) == "workers=1;;1:;0"
    assert perfdata(report(workers=None, queues=None), Settings(), min_workers=1) == ""


def test_the_first_line_has_one_bar_whatever_the_names() -> None:
    """All behind it is taken for numbers."""
    settings = Settings(queue_length_limits=(("*", (1.0, 2.0)),))
    found = report(queues=(QueueDepth("a|b", ready=3),))
    verdict = judge(found, settings, min_workers=1)
    numbers = perfdata(found, settings, min_workers=1)

    first = as_text(found, verdict, perfdata=numbers).splitlines()[0]
    assert first == f"CRITICAL: queue a/b: 3 waiting | {numbers}"
    assert first.count("|") == 1


def test_a_history_tells_what_failed_lately() -> None:
    """Where it was raised, and a task to look at."""
    found = replace(report(), recent=RECENT)

    assert as_text(found, judged(found)).split("\n\n")[-1] == (
        "last 10 minutes: 497 succeeded, 3 failed (99.40 % succeeded)\n"
        "failed  task      what, and the last of them\n"
        "     3  shop.pay  GatewayTimeout at shop/pay.py:88 in charge: u9"
    )
    new = FailureKind(
        name="shop.new", exception="KeyError", place="", count=0, last_id="u10", since_then=1
    )
    first = replace(report(), recent=Recent(seconds=600.0, failed_since_then=1, kinds=(new,)))
    assert as_text(first, judged(first)).split("\n\n")[-1] == (
        "last 10 minutes: 0 succeeded, 0 failed; in the minute that goes on 1 failed\n"
        "failed  task      what, and the last of them\n"
        " 1 new  shop.new  KeyError: u10"
    )
    quiet = replace(report(), recent=Recent(seconds=600.0))
    assert as_text(quiet, judged(quiet)).endswith("\n\nlast 10 minutes: 0 succeeded, 0 failed")
    document = as_json(found, judged(found))["recent"]
    assert isinstance(document, dict)
    assert (document["failed"], round(document["success_rate"], 1)) == (3, 99.4)
    assert as_json(report(), judged(report()))["recent"] is None
