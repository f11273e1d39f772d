"""Task: the container that runs the monitor on ECS, as a task definition wants it. Pure."""

from __future__ import annotations

from math import ceil
from typing import Any

from ..settings import Settings, options
from ..settings.parsers import text_of
from .options import Choices

__all__ = ["CPU", "MEMORY", "container", "decisions", "environment"]

CPU, MEMORY = "256", "512"  # the smallest of Fargate: a quarter of a core, half a GiB
MAX_STOP_SECONDS = 120  # Fargate's limit
_STOP_MARGIN_SECONDS = 10  # to disconnect and to end, after the drain
_SECRET = frozenset({"management_url"})  # may hold a password: it belongs in a secret
_LIVES_ELSEWHERE = frozenset({"region"})  # ECS sets AWS_REGION


def environment(settings: Settings) -> dict[str, str]:
    """The variables that give a monitor these settings; defaults and secrets are left out."""
    found: dict[str, str] = {}
    for one in options():
        value = getattr(settings, one.name)
        if value != one.default and one.name not in _SECRET | _LIVES_ELSEWHERE:
            found[one.environ] = text_of(value) or "none"  # an empty variable means: not set
    return found


def decisions(settings: Settings) -> tuple[str, ...]:
    """One sentence for each thing that the container needs and that cannot be written here."""
    notes = [
        f"{one.environ} is left out, since it may hold a password: give it as a secret."
        for one in options()
        if one.name in _SECRET and getattr(settings, one.name) != one.default
    ]
    if settings.state_dir:
        notes.append(
            f"state_dir {settings.state_dir} is in the container and gone with it: mount a volume "
            "there for what is to outlive a deployment."
        )
    return tuple(notes)


def container(settings: Settings, choices: Choices) -> dict[str, Any]:
    """The container definition without image, logs and secrets, which each form says in its way.

    ECS ignores a Dockerfile's HEALTHCHECK, so the check is here. The stop waits for the drain.
    """
    stop = min(MAX_STOP_SECONDS, ceil(settings.drain_seconds) + _STOP_MARGIN_SECONDS)
    return {
        "name": f"{choices.prefix}-monitor",
        "essential": True,
        "command": ["event-monitor", "run"],
        "stopTimeout": stop,
        "environment": [
            {"name": name, "value": value} for name, value in environment(settings).items()
        ],
        "healthCheck": {
            "command": ["CMD", "event-monitor", "healthcheck", "--monitor"],
            "interval": 30,
            "timeout": 10,
            "retries": 3,
            "startPeriod": 60,
        },
    }
