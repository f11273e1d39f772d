"""Documentation: the README's tables, written from the catalog and the settings, so they agree.

``python -m event_monitor.cli.documentation README.md`` rewrites what stands between the markers
``<!-- metrics -->`` … ``<!-- /metrics -->`` and ``<!-- settings -->`` … ``<!-- /settings -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ..catalog import CATALOG, MetricSpec
from ..settings import ENV_PREFIX, Settings, Source, options, text_of
from ..text import aligned, markdown

__all__ = [
    "TABLES",
    "metrics_markdown",
    "metrics_text",
    "rewritten",
    "settings_markdown",
    "settings_text",
]

_STATISTIC = {"count": "Sum", "gauge": "Maximum", "times": "p50, p95, …"}


_PASSWORD = re.compile(r"://([^/:@]*):[^/@]*@")  # in a URL; never shown
_METRICS_HEADER = ("Metric", "Unit", "Statistic", "Also by", "Meaning")
_STAR = "published by default; the other splits are for the settings to ask for."


def _metric_cells(spec: MetricSpec) -> tuple[str, str, str, str, str]:
    """Name, unit, statistic, splits (``*`` marks the default ones) and meaning, as plain text."""
    splits = (f"{one}*" if one == "TaskName" and spec.by_task else one for one in spec.splits)
    return spec.name, spec.unit, spec.statistic, ", ".join(splits) or "–", spec.meaning


def metrics_markdown() -> str:
    """Every metric, in the catalog's order."""
    table = markdown(
        _METRICS_HEADER,
        (
            (f"`{name}`", unit, statistic, splits, meaning)
            for name, unit, statistic, splits, meaning in map(_metric_cells, CATALOG)
        ),
    )
    return f"{table}\n\n\\* {_STAR}"


def metrics_text(width: int) -> str:
    """The same for a terminal."""
    rows = map(_metric_cells, CATALOG)
    return f"{aligned(_METRICS_HEADER, rows, width=width)}\n\n* {_STAR}"


def settings_markdown() -> str:
    """Every setting, in the order of its fields."""
    return markdown(
        ("Setting", "Default", "Allowed", "Meaning"),
        (
            (
                f"`{one.name}`",
                ", ".join(f"`{part}`" for part in one.default_text.split(",") if part) or "–",
                one.allowed,
                one.help,
            )
            for one in options()
        ),
    )


def settings_text(settings: Settings, sources: Mapping[str, Source], width: int) -> str:
    """Every setting with its value and where that came from, for a terminal."""
    rows = []
    for one in options():
        value = text_of(getattr(settings, one.name)).replace(",", ", ") or "–"
        value = _PASSWORD.sub("://\\1:**@", value)
        if sources[one.name] != "default":
            value += f"  (default: {one.default_text.replace(',', ', ') or '–'})"
        rows.append((one.name, sources[one.name], value))
    table = aligned(("Setting", "From", "Value"), rows, width=width)
    return (
        f"{table}\n\nEach can be a flag (--interval 30), a variable ({ENV_PREFIX}INTERVAL=30) or\n"
        'a key of the app (app.conf.event_monitor = {"interval": 30}); the first of these wins.'
    )


TABLES = {"metrics": metrics_markdown, "settings": settings_markdown}


def rewritten(text: str) -> str:
    """The document with its generated tables brought up to date; ``ValueError`` without markers."""
    for name, render in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not between.search(text):
            raise ValueError(f"there is no {begin} … {end}")
        block = f"{begin}\n{render()}\n{end}"
        text = between.sub(lambda _, block=block: block, text, count=1)  # type: ignore[misc]
    return text


def main(arguments: list[str]) -> int:
    """Rewrite the named documents in place."""
    if not arguments:
        sys.stderr.write("usage: python -m event_monitor.cli.documentation README.md\n")
        return 2
    for path in map(Path, arguments):
        try:
            path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
