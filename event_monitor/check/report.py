"""Report: findings as text for a terminal, or as JSON. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from .finding import Finding, Status

__all__ = ["json_report", "paragraph", "passed", "summary"]

WORDS: dict[Status, str] = {
    "ok": "ok",
    "note": "note",
    "warning": "warning",
    "failed": "FAILED",
    "skipped": "skipped",
}
_NAME_COLUMN = 9  # characters, after the longest word and a gap
_TEXT_COLUMN = 25


def paragraph(finding: Finding, *, width: int) -> str:
    """One finding: its status, its name, its message, and below it what to do."""
    head = f"{WORDS[finding.status]:<{_NAME_COLUMN}}{finding.name:<{_TEXT_COLUMN - _NAME_COLUMN}}"
    indent = " " * _TEXT_COLUMN
    lines = [
        textwrap.fill(
            finding.message,
            width,
            initial_indent=head,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    for step in finding.remedy.splitlines():
        wrapped = textwrap.wrap(
            step, width - _TEXT_COLUMN, break_long_words=False, break_on_hyphens=False
        )
        lines += [f"{indent}{line}" for line in wrapped]
    return "\n".join(lines)


def passed(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return not any(one.status == "failed" for one in findings)


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    failed = sum(one.status == "failed" for one in findings)
    warnings = sum(one.status == "warning" for one in findings)
    if failed:
        return f"Not ready: {failed} of {len(findings)} failed."
    return f"Ready, with {warnings} to look at." if warnings else "Ready."


def json_report(findings: Sequence[Finding]) -> str:
    """``{"passed": bool, "findings": [{name, status, message, remedy}]}``, indented."""
    return json.dumps(
        {"passed": passed(findings), "findings": [asdict(one) for one in findings]}, indent=2
    )
