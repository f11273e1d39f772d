"""Distribution: value → count, bounded, mergeable. Knows nothing of where values come from.

While there are few distinct values they are kept as they are. Beyond the limit they share
logarithmic buckets whose boundaries are powers of ``2 ** (1 / resolution)``; the resolution begins
fine and halves whenever the buckets are too many, so that a coarser bucket is the union of two
finer ones. A bucket is represented by the *mean* of what fell into it, so count and sum stay
exact; a percentile is off by less than one bucket (4.4 % of its value over a spread of 1 : 660,
9.1 % over 1 : 440,000).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, fsum, log2

__all__ = ["MAX_VALUES", "NO_VALUES", "Distribution", "Recorder"]

MAX_VALUES = 150  # unique values per datum: PutMetricData's limit
_SMALLEST = 1e-4  # seconds; everything below shares one bucket, since nobody tunes 0.1 ms
_FINEST = 32.0  # buckets per doubling, to begin with: 2.2 % wide


@dataclass(frozen=True, slots=True)
class Distribution:
    """An immutable set of values with their counts.

    ``values`` ascend and are distinct, at most 150; ``counts`` are ≥ 1 and as long as ``values``.
    """

    values: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, int]]) -> Distribution:
        """Build one from ``(value, count)`` pairs in any order, bucketing if there are too many."""
        recorder = Recorder()
        for value, count in pairs:
            recorder.record(value, count)
        return recorder.freeze()

    @classmethod
    def merged(cls, distributions: Iterable[Distribution]) -> Distribution:
        """One distribution that holds every value of the given ones; count and sum add up."""
        return cls.of(
            pair for one in distributions for pair in zip(one.values, one.counts, strict=True)
        )

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self.counts)

    @property
    def sum(self) -> float:
        """The sum of all recorded values."""
        return fsum(v * n for v, n in zip(self.values, self.counts, strict=True))

    def __bool__(self) -> bool:
        return bool(self.counts)


NO_VALUES = Distribution()

# Shared by all recorders with few values, which are most: an empty dictionary is 64 bytes.
_NO_BUCKETS: dict[int, list[float]] = {}


class Recorder:
    """Collects values one by one; the mutable half of ``Distribution``. Not thread-safe.

    Holds at most 150 values or buckets, however many are recorded.
    """

    __slots__ = ("_buckets", "_raw", "_resolution")

    def __init__(self) -> None:
        self._raw: dict[float, int] | None = {}  # value → count, until there are too many
        self._buckets = _NO_BUCKETS  # bucket → [count, sum], afterwards
        self._resolution = _FINEST

    def record(self, value: float, count: int = 1) -> None:
        """Add a value, seconds ≥ 0, ``count`` times."""
        raw = self._raw
        if raw is not None:
            raw[value] = raw.get(value, 0) + count
            if len(raw) > MAX_VALUES:
                self._raw, self._buckets = None, {}
                for each, times in raw.items():
                    self.record(each, times)
            return
        number = floor(log2(value if value > _SMALLEST else _SMALLEST) * self._resolution)
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket[0] += count
            bucket[1] += value * count
            return
        self._buckets[number] = [count, value * count]
        while len(self._buckets) > MAX_VALUES:
            self._halve()

    def freeze(self) -> Distribution:
        """Everything recorded so far, as a value."""
        counts = self._raw
        if counts is None:
            counts = {}
            for count, value in self._buckets.values():
                mean = value / count
                counts[mean] = counts.get(mean, 0) + int(count)
        values = tuple(sorted(counts))
        return Distribution(values, tuple(counts[value] for value in values))

    def _halve(self) -> None:
        """Let each two neighbouring buckets be one."""
        finer, self._buckets = self._buckets, {}
        self._resolution /= 2
        for number, (count, value) in finer.items():
            bucket = self._buckets.setdefault(number >> 1, [0, 0.0])
            bucket[0] += count
            bucket[1] += value
