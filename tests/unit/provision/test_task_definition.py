"""Task definition: the container has these settings, and what it needs besides is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.stack import PIECES, build_stack
from event_monitor.provision.task_definition import container_definition, environment
from event_monitor.settings import Settings

from .examples import EVERYTHING


def test_the_container_has_these_settings() -> None:
    """Read back from its variables; secrets and the region come another way."""
    settings = replace(
        EVERYTHING,
        by_task=(),
        groups=(("shop", ("shop.*", "pay.*")),),
        interval=30.0,
        high_resolution=True,
    )
    hidden = replace(settings, region="eu-west-1", management_url="http://guest:secret@mq:15672")

    assert Settings.load(environ=environment(hidden)) == settings
    assert "secret@" not in str(build_stack(PIECES, hidden, ProvisionOptions()))


def test_what_the_container_needs_besides_is_said() -> None:
    """A secret, and a volume; a deployment would lose what is on the disk."""
    settings = Settings(state_dir="/var/lib/em", management_url="http://guest:secret@mq:15672")

    notes = " ".join(build_stack(("ecs",), settings, ProvisionOptions()).notes)

    assert "EVENT_MONITOR_MANAGEMENT_URL is left out" in notes
    assert "mount a volume" in notes
    assert "secret@" not in notes
    assert build_stack(("ecs",), Settings(), ProvisionOptions()).notes == ()


@pytest.mark.parametrize(("drain", "stop"), [(20.0, 30), (0.5, 11), (600.0, 120)])
def test_a_stop_waits_for_the_drain_as_long_as_ecs_allows(drain: float, stop: int) -> None:
    """Two minutes at most."""
    container = container_definition(Settings(drain_seconds=drain), ProvisionOptions())
    assert container["stopTimeout"] == stop


def test_the_container_has_a_health_check_of_its_own() -> None:
    """ECS ignores that of a Dockerfile."""
    container = container_definition(Settings(), ProvisionOptions())
    assert container["healthCheck"] == {
        "command": ["CMD", "event-monitor", "healthcheck", "--monitor"],
        "interval": 30,
        "timeout": 10,
        "retries": 3,
        "startPeriod": 60,
    }
