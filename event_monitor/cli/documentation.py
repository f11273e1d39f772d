"""Documentation: the reference's tables, written from the catalog and the settings, so they agree.

``python -m event_monitor.cli.documentation`` rewrites what stands in ``reference.md`` between the
markers ``<!-- metrics -->`` … ``<!-- /metrics -->``, and the same of ``settings`` and ``cost``.
The file is part of the package; ``chapter`` reads it for the commands that print it.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..catalog import CATALOG, MetricSpec
from ..redaction import without_secrets
from ..settings import ENV_PREFIX, Settings, Source, options, text_of
from ..text import aligned, markdown, printable

__all__ = [
    "REFERENCE",
    "TABLES",
    "chapter",
    "cost_markdown",
    "metrics_markdown",
    "metrics_text",
    "rewritten",
    "settings_markdown",
    "settings_text",
]

REFERENCE = Path(__file__).parents[1] / "reference.md"
_MARKER = re.compile(r"<!-- /?\w+ -->\n")
_STAR = "published by default; the other splits are for the settings to ask for."


def _metric_cells(spec: MetricSpec) -> tuple[str, str, str, str, str]:
    """Return name, unit, statistic, splits and meaning; ``*`` marks a split that is the default."""
    by_default = {
        *spec.always_by,
        *(["TaskName"] if spec.by_task else []),
        *(["QueueName"] if spec.by_queue else []),
    }
    splits = (f"{split}*" if split in by_default else split for split in spec.splits)
    return spec.name, spec.unit, spec.statistic, ", ".join(splits) or "–", spec.meaning


def metrics_markdown() -> str:
    """Return the table of every metric, in the catalog's order."""
    table = markdown(
        ("Metric", "Unit", "Statistic", "Also by", "Meaning"),
        (
            (f"`{name}`", unit, statistic, splits, meaning)
            for name, unit, statistic, splits, meaning in map(_metric_cells, CATALOG)
        ),
    )
    return f"{table}\n\n\\* {_STAR}"


def metrics_text(*, width: int) -> str:
    """Return the same for a terminal: a line of facts for each, and what it means below."""
    lines: list[str] = []
    for name, unit, statistic, splits, meaning in map(_metric_cells, CATALOG):
        said = meaning if splits == "–" else f"{meaning} Also by {splits}."
        lines.append(f"{name}  ({unit}; {statistic})")
        lines += textwrap.wrap(
            said, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
        )
    return "\n".join([*lines, "", f"* {_STAR}"])


def settings_markdown() -> str:
    """Return the table of every setting, in the order of the fields."""
    return markdown(
        ("Setting", "Default", "Allowed", "Meaning"),
        (
            (
                f"`{option.name}`",
                ", ".join(f"`{part}`" for part in option.default_text.split(",") if part) or "–",
                option.allowed,
                option.help,
            )
            for option in options()
        ),
    )


def settings_text(settings: Settings, sources: Mapping[str, Source], *, width: int) -> str:
    """Return every setting, where it came from and its value, for a terminal."""
    rows = []
    for option in options():
        source = sources[option.name]
        text = text_of(getattr(settings, option.name))
        value = option.shown(text) or "–" if option.shown else _shown(text)
        if source != "default":
            value += f"  (default: {_spaced(option.default_text)})"
        rows.append((option.name, source, value))
    table = aligned(("Setting", "From", "Value"), rows, width=width)
    return (
        f"{table}\n\nEach can be a flag (--interval 30), a variable ({ENV_PREFIX}INTERVAL=30) or\n"
        'a key of the app (app.conf.event_monitor = {"interval": 30}).\n'
        "The first of these wins."
    )


def _shown(text: str) -> str:
    """Return a value as it may be printed: the broker's URL may be in the wrong variable."""
    return printable(without_secrets(_spaced(text)))


def cost_markdown() -> str:
    """Return what a cluster of the usual size costs under a few settings."""
    from ..metrics.cost import Cluster, estimate
    from ..metrics.prices import GRAFANA_REFRESH_MINUTES, PRICE_SOURCE, Provisioned
    from ..provision.billed import billed
    from ..provision.options import ProvisionOptions
    from ..provision.stack import build_stack

    def provisioned_by(settings: Settings) -> Provisioned:
        return billed(build_stack(("alarms", "dashboard"), settings, ProvisionOptions()))

    cluster = Cluster()
    rows = []
    for flags, settings in _PRICED.items():
        found = estimate(settings, cluster, provisioned_by=provisioned_by)
        alarms = found.provisioned.alarm_metrics + found.provisioned.fast_alarm_metrics
        cells = (f"{number:,}" for number in (found.series_count, found.requests, alarms))
        rows.append((flags, *cells, found.about))
    table = markdown(("Settings", "Series", "Requests", "Alarm metrics", "Cost"), rows)
    open_grafana = provisioned_by(_DEFAULTS).open_grafana_dollars
    return (
        f"For {cluster.tasks} task names, {cluster.workers} workers and {cluster.queues} queues, "
        f"with all alarms and the dashboard:\n\n{table}\n\n"
        f"The same dashboard open in Grafana all month, where it asks for all of its series every "
        f"{GRAFANA_REFRESH_MINUTES} minutes: about ${open_grafana:.0f} more. "
        f"Prices: {PRICE_SOURCE}."
    )


def _spaced(text: str) -> str:
    """Return a list with room to wrap, and a dash for nothing."""
    return text.replace(",", ", ") or "–"


_DEFAULTS = Settings()
#: Flags → the settings that they give.
_PRICED = {
    "the defaults": _DEFAULTS,
    "`--by-task none`": replace(_DEFAULTS, by_task=()),
    "`--by-worker TasksActive,WorkersOnline`": replace(
        _DEFAULTS, by_worker=("TasksActive", "WorkersOnline")
    ),
    "`--interval 10 --high-resolution`": replace(_DEFAULTS, interval=10.0, high_resolution=True),
}
TABLES = {"metrics": metrics_markdown, "settings": settings_markdown, "cost": cost_markdown}


def rewritten(text: str) -> str:
    """Return the document with its generated tables brought up to date.

    Raises ``ValueError`` where a pair of markers is missing.
    """
    for name, render in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"there is no {begin} … {end}")
        text = f"{before}{begin}\n{render()}\n{end}{after}"
    return text


def chapter(title: str) -> str:
    """Return a chapter of the reference as it stands there, without its markers and heading."""
    _, _, after = REFERENCE.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    text, _, _ = after.partition("\n## ")
    return _MARKER.sub("", text + "\n").strip()


def main(arguments: list[str]) -> int:
    """Rewrite the named documents, or the reference, in place; return the exit code."""
    for path in [Path(name) for name in arguments] or [REFERENCE]:
        try:
            path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
