"""Views: what each who asks makes the monitor do."""

from __future__ import annotations

from event_monitor.settings import Settings
from event_monitor.snapshot import Live, TaskCounts
from event_monitor.testing import FakeClock
from event_monitor.web.views import Views

from .making import live


def test_times_are_asked_for_by_who_scrapes_only() -> None:
    """They take ten times as long as all the rest, and no page shows them."""
    # Given
    asked: list[str] = []

    def look(what: str) -> Live:
        asked.append(what)
        return live({"proj.add": TaskCounts(succeeded=1)})

    views = Views(
        Settings(),
        peek=lambda: look("times"),
        glance=lambda: look("counts"),
        problem=lambda: None,
        clock=FakeClock(),
    )

    # When
    shown = views.view().live
    text = views.metrics(scraper="prometheus", openmetrics=False)

    # Then
    assert asked == ["counts", "times"]
    assert dict(shown.tasks)["proj.add"].succeeded == 1
    assert b'celery_task_runtime_count{hostname="generic",name="proj.add"' in text
