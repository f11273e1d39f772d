"""Bill: the estimate as a person reads it. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ..settings import Settings
from ..text import aligned
from .cost import Cluster, Estimate, ProvisionedBy, estimate, nothing_provisioned, savings
from .prices import FREE_DASHBOARD_METRICS, FREE_DASHBOARDS, GRAFANA_REFRESH_MINUTES, PRICE_SOURCE
from .sqs_cost import SQS_PRICE_SOURCE, SqsTraffic

__all__ = ["bill"]


def bill(
    settings: Settings,
    cluster: Cluster,
    *,
    provisioned_by: ProvisionedBy = nothing_provisioned,
    traffic: SqsTraffic | None = None,
    width: int = 100,
) -> str:
    """Return the estimate as text: what it is made of, what would lower it, and the sum.

    ``traffic``: of the events that go over SQS, if they do.
    """
    found = estimate(settings, cluster, provisioned_by=provisioned_by)
    rows = []
    for split, count in found.series:
        name = "series, total" if split == "total" else f"series, by {split}"
        share = found.series_dollars * count / found.series_count
        rows.append((name, f"{count:,}", _dollars(share)))
    rows.append(("requests", f"{found.requests:,}", _dollars(found.request_dollars)))
    rows += [
        (name, f"{number:,}", _dollars(dollars)) for name, number, dollars in found.provisioned.rows
    ]
    dollars = found.dollars
    if traffic is not None:
        rows.append(("SQS requests", f"{traffic.requests:,.0f}", _dollars(traffic.dollars)))
        dollars += traffic.dollars
    rows.append(("a month", "", _dollars(dollars)))
    lines = [aligned(("", "number", "dollars"), rows, sides="lrr")]
    cheaper = [
        (saving.flag, f"-{_dollars(saving.dollars)}")
        for saving in savings(settings, cluster, provisioned_by=provisioned_by)
    ]
    if cheaper:
        lines += ["", "What would save most:"]
        lines.append(aligned(("flag", "dollars"), cheaper, sides="lr"))
    lines.append("")
    for remark in (*_remarks(settings, found), *(_of_sqs(traffic) if traffic else ())):
        lines += textwrap.wrap(remark, width)
    return "\n".join([*lines, "", f"About ${dollars:,.0f} a month."])


def _remarks(settings: Settings, found: Estimate) -> Iterator[str]:
    """Yield what a person should know of the sum, most of all what is not in it."""
    yield f"Prices: {PRICE_SOURCE}."
    yield "A series is billed for the hours in which it gets data: a short life costs less."
    for metrics in found.provisioned.dashboards:
        yield (
            f"An account's first {FREE_DASHBOARDS} dashboards are free if they show at most "
            f"{FREE_DASHBOARD_METRICS} metrics each; this one shows {metrics}."
        )
        dollars = found.provisioned.open_grafana_dollars
        yield (
            f"The same one open in Grafana all month adds ${dollars:.0f}: it asks for all of them "
            f"every {GRAFANA_REFRESH_MINUTES} minutes."
        )
    if settings.sink == "emf":
        yield "Not included: the log lines, at $0.50 a GB."
    yield (
        "Not included: alarms of autoscaling, and the rest of the free tier: 10 metrics, "
        "10 alarm metrics, 1,000,000 requests."
    )


def _of_sqs(traffic: SqsTraffic) -> Iterator[str]:
    yield (
        f"{SQS_PRICE_SOURCE}. Counted: {traffic.workers:,} workers and {traffic.producers:,} "
        f"producers at {traffic.tasks_per_second:g} tasks a second, a message every "
        f"{traffic.flush_seconds:g} s from who has events and every {traffic.beat_seconds:g} s "
        "from an idle worker. Not the queues of tasks."
    )


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}"
