"""Labels: which TaskName a task is published under."""

from __future__ import annotations

from event_monitor.metrics import label_for
from event_monitor.settings import Settings


def test_include_names_the_only_tasks_with_series() -> None:
    """A group wins over both."""
    settings = Settings(
        include_tasks=("proj.a*",), exclude_tasks=("proj.ab",), groups=(("g", ("other.*",)),)
    )
    names = ("proj.a", "proj.ab", "proj.b", "other.x")
    assert [label_for(name, settings) for name in names] == ["proj.a", None, None, "g"]
