"""Making: what the tests of check pick from findings."""

from __future__ import annotations

from collections.abc import Iterable

from event_monitor.check import Finding


def outcomes(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """The name and status of each."""
    return [(finding.name, finding.status) for finding in findings]


def only(name: str, findings: Iterable[Finding]) -> list[Finding]:
    """The findings of that name."""
    return [finding for finding in findings if finding.name == name]
