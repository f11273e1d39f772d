"""Report: findings as text, as a last line, and as JSON."""

from __future__ import annotations

import json

from event_monitor.check import Finding, json_report, paragraph, passed, summary


def test_a_finding_is_a_paragraph() -> None:
    """Status, name, message; below it what to do, as it is to be typed."""
    finding = Finding("broker", "failed", "it is down " * 6, "Start it:\n  now")

    assert paragraph(finding, width=70) == (
        "FAILED   broker          it is down it is down it is down it is down\n"
        "                         it is down it is down\n"
        "                         Start it:\n"
        "                           now"
    )


def test_a_command_that_has_no_room_beside_its_text_stands_below() -> None:
    """Whole, so that it can be copied."""
    remedy = "Use -E:    celery -A proj worker -E -n one"
    finding = Finding("task events", "warning", "none", remedy)
    assert paragraph(finding, width=100).splitlines()[1:] == [" " * 25 + remedy]
    assert paragraph(finding, width=60).splitlines()[1:] == [
        " " * 25 + "Use -E:",
        " " * 25 + "  celery -A proj worker -E -n one",
    ]


def test_the_last_line_counts() -> None:
    """Failures first; warnings do not fail."""
    ok = Finding("a", "ok", "fine")
    warning = Finding("b", "warning", "hm")
    failed = Finding("c", "failed", "no")

    assert summary([ok]) == "Ready."
    assert summary([ok, warning]) == "Ready, with 1 to look at."
    assert summary([ok, warning, failed]) == "Not ready: 1 of 3 failed."
    assert [passed([ok, warning]), passed([ok, failed])] == [True, False]


def test_the_report_is_json_too() -> None:
    """For a deployment script."""
    assert json.loads(json_report([Finding("a", "ok", "fine")])) == {
        "passed": True,
        "findings": [{"name": "a", "status": "ok", "message": "fine", "remedy": ""}],
    }
