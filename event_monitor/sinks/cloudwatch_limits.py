"""CloudWatch limits: what the service takes, whichever way it comes. Pure.

Sources: the API reference of PutMetricData, and the specification of the embedded metric format.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from ..distribution import MAX_VALUES, Distribution
from ..metrics.metric import Metric
from ..snapshot import UNKNOWN

__all__ = [
    "MAX_AGE_SECONDS",
    "MAX_AHEAD_SECONDS",
    "MAX_DIMENSIONS",
    "MAX_DIMENSION_CHARACTERS",
    "MAX_VALUE",
    "Refusals",
    "Refused",
    "dimension_value",
    "invalid",
    "is_out_of_time",
    "separate",
]

log = logging.getLogger(__name__)

MAX_VALUE = 2.0**360  # either sign
MAX_AGE_SECONDS = 14 * 86_400.0  # older data are refused
MAX_AHEAD_SECONDS = 2 * 3_600.0
MAX_DIMENSIONS = 30
MAX_DIMENSION_CHARACTERS = 1_024
WARNING_SECONDS = 60.0  # ours: the same refusal is logged at most once in this time
_REMEMBERED_REFUSALS = 1_000

_LATEST = datetime.max.replace(tzinfo=timezone.utc).timestamp()  # what a datum's time can hold

Refused = tuple[Metric, str]  # a metric that is dropped, and why


def invalid(metric: Metric) -> str | None:
    """Return why CloudWatch would refuse the metric at any time, None if it would not.

    One bad datum costs a whole request, so each is looked at before it is sent.
    """
    value = metric.value
    values = value.values if isinstance(value, Distribution) else (value,)
    if not 1 <= len(values) <= MAX_VALUES:
        return f"{len(values)} values; 1 to {MAX_VALUES} are allowed"
    if not all(math.isfinite(number) for number in values):
        return "a value is not a finite number"
    if any(abs(number) > MAX_VALUE for number in values):
        return "a value is beyond 2^360"
    if not 0 <= metric.timestamp < _LATEST:  # so written that NaN is refused too
        return "the timestamp is not one of the years 1970 to 9999"
    if len(metric.dimensions) > MAX_DIMENSIONS:
        return f"more than {MAX_DIMENSIONS} dimensions"
    return None


def is_out_of_time(metric: Metric, *, now: float) -> bool:
    """Return whether CloudWatch would refuse the metric for its time, if our clock is right.

    ``now`` is wall-clock seconds since the epoch. A clock may be stepped by years, and back again,
    so this alone is no reason to drop a metric.
    """
    return not now - MAX_AGE_SECONDS <= metric.timestamp <= now + MAX_AHEAD_SECONDS


def dimension_value(text: str) -> str:
    """Return ``text`` as CloudWatch allows it: printable ASCII, 1 to 1,024 characters, not blank.

    Allowed text stays as it is. Everything else is escaped as in a Python literal, and what is
    too long ends in a digest of the whole, so that different names stay different.
    """
    if not (text.isascii() and text.isprintable()):
        text = text.encode("unicode_escape").decode("ascii")
    if len(text) > MAX_DIMENSION_CHARACTERS:
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()[:12]
        text = f"{text[: MAX_DIMENSION_CHARACTERS - 13]}~{digest}"
    return text if text.strip() else UNKNOWN


class Refusals:
    """Logs which metrics were dropped and why, each reason at most once a minute."""

    def __init__(self) -> None:
        self._warned_at: dict[tuple[str, str], float] = {}

    def warn(self, refused: Iterable[Refused], *, now: float) -> None:
        """Log them by name and reason, with their number; ``now`` is monotonic seconds."""
        if len(self._warned_at) > _REMEMBERED_REFUSALS:
            self._warned_at.clear()
        counts = Counter((metric.name, reason) for metric, reason in refused)
        for (name, reason), count in counts.items():
            if now - self._warned_at.get((name, reason), -math.inf) >= WARNING_SECONDS:
                self._warned_at[name, reason] = now
                log.warning("dropped %d of %s, which CloudWatch refuses: %s", count, name, reason)


def separate(metrics: Sequence[Metric]) -> tuple[list[Metric], list[Refused]]:
    """Return the metrics CloudWatch takes, and the others with the reason."""
    valid: list[Metric] = []
    refused: list[Refused] = []
    for metric in metrics:
        reason = invalid(metric)
        if reason is None:
            valid.append(metric)
        else:
            refused.append((metric, reason))
    return valid, refused
