"""Report: findings as text for a terminal, or as JSON. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from ..text import printable
from .finding import Finding, Status

__all__ = ["json_report", "paragraph", "passed", "summary"]

_WORDS: dict[Status, str] = {
    "ok": "ok",
    "note": "note",
    "warning": "warning",
    "failed": "FAILED",
    "skipped": "skipped",
}
_NAME_COLUMN = 9  # characters, after the longest word and a gap
_TEXT_COLUMN = 25
_GAP = re.compile(" {2,}")


def paragraph(finding: Finding, *, width: int) -> str:
    """Return one finding as text: its status, name and message, and below them what to do."""
    head = f"{_WORDS[finding.status]:<{_NAME_COLUMN}}{finding.name:<{_TEXT_COLUMN - _NAME_COLUMN}}"
    indent = " " * _TEXT_COLUMN
    lines = [
        textwrap.fill(
            printable(" ".join(finding.message.split())),
            width,
            initial_indent=head,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    for step in finding.remedy.splitlines():
        lines += [f"{indent}{line}" for line in _wrapped(printable(step), width - _TEXT_COLUMN)]
    return "\n".join(lines)


def _wrapped(step: str, width: int) -> list[str]:
    """Return the lines of a step; a second column goes below the first where it has no room."""
    first, *second = _GAP.split(step, maxsplit=1) if len(step) > width else [step]
    lines = textwrap.wrap(first, width, break_long_words=False, break_on_hyphens=False)
    return [*lines, *(f"  {column}" for column in second)]  # a command, to be copied as it is


def passed(findings: Sequence[Finding]) -> bool:
    """Return whether nothing failed."""
    return not any(finding.status == "failed" for finding in findings)


def summary(findings: Sequence[Finding]) -> str:
    """Return the last line of the report."""
    failed = sum(finding.status == "failed" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if failed:
        return f"Not ready: {failed} of {len(findings)} failed."
    return f"Ready, with {warnings} to look at." if warnings else "Ready."


def json_report(findings: Sequence[Finding]) -> str:
    """Return ``{"passed": bool, "findings": [{name, status, message, remedy}]}``, indented."""
    document = {"passed": passed(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(document, indent=2)
