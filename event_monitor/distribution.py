"""Distribution: value → count, bounded and mergeable. Knows nothing of where values come from.

It is a log-linear histogram. While there are at most 150 distinct values, they are kept exactly.
Beyond that they are counted in sub-buckets, 16 linear ones per power of two, and published in at
most 150 buckets: a bucket is one sub-bucket or, from the smallest times on, as many neighbours
joined as it takes.

The value of a bucket is the mean of the midpoints of its sub-buckets, weighted by their counts,
and one factor for all makes the sum exact; so count and sum are exact. A percentile is off by half
a bucket: by 3 % of its value, or 6 % for a small one where times spread over more than 1 : 600,
and by twice that at the very worst.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import fsum
from struct import Struct

__all__ = ["MAX_VALUES", "NO_VALUES", "Distribution", "LimitedRecorder", "Recorder"]

MAX_VALUES = 150  # unique values per datum: PutMetricData's limit
_SMALLEST = 1e-4  # seconds; everything below shares one bucket, since nobody tunes 0.1 ms
_MAX_SUB_BUCKETS = 1_100  # from a nanosecond to the year 3000 there are fewer


@dataclass(frozen=True, slots=True)
class Distribution:
    """An immutable set of values with their counts.

    ``values`` ascend and are distinct; ``counts`` are ≥ 1 and as long as ``values``. One that a
    ``Recorder`` has frozen has at most ``MAX_VALUES`` values.
    """

    values: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def merged(cls, distributions: Iterable[Distribution]) -> Distribution:
        """Return one distribution with every value of the given ones; count and sum add up."""
        parts = [distribution for distribution in distributions if distribution]
        if len(parts) <= 1:
            return parts[0] if parts else NO_VALUES
        recorder = Recorder()
        for distribution in parts:
            recorder.merge(distribution)
        return recorder.freeze()

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self.counts)

    @property
    def sum(self) -> float:
        """The sum of all recorded values."""
        return fsum(v * n for v, n in zip(self.values, self.counts, strict=True))

    def percentile(self, percent: float) -> float:
        """Return the smallest value that at least ``percent`` of the values do not exceed.

        That is the nearest-rank percentile, so it is one of ``values``. ``percent`` is from 0 to
        100. Raises ``ValueError`` outside that range and for an empty distribution.
        """
        if not self or not 0 <= percent <= 100:
            raise ValueError(f"percentile {percent} of {self.count} values")
        rank, seen = self.count * percent / 100, 0
        for value, count in zip(self.values, self.counts, strict=True):
            seen += count
            if seen >= rank:
                return value
        return self.values[-1]

    def __bool__(self) -> bool:
        return bool(self.counts)


NO_VALUES = Distribution()

# Values worth a bulk count. Each count touches a dictionary, and those of all task names together
# do not fit in the processor's cache; a value in the array has 8 bytes, one in a dictionary 60.
_BATCH = 256


class Recorder(array):  # type: ignore[type-arg]  # of what, only mypy could say
    """Collects values one by one; the mutable half of ``Distribution``. Not thread-safe.

    It is an array of the values that are not counted yet, so that ``record(value)``, seconds ≥ 0,
    is its ``append`` and nothing else, and thousands of recorders are small. ``compact`` counts
    them in bulk and has to be called now and then; what it leaves is bounded.
    """

    __slots__ = ("_counted",)

    def __new__(cls, *_: object) -> Recorder:
        """Make an array of doubles; ``_`` is what ``__init__`` takes."""
        made: Recorder = super().__new__(cls, "d")  # type: ignore[assignment]  # of its own type
        return made

    def __init__(self) -> None:
        # None until needed: a window has several recorders per task name, and most stay small.
        # Exact values, until there are too many.
        self._counted: Counter[float] | _SubBuckets | None = None

    record = array.append

    @property
    def size(self) -> int:
        """How many values and sub-buckets are in memory; bounded after each ``compact``."""
        return len(self) + len(self._counted or ())

    def compact(self) -> None:
        """Count what was recorded, if it is enough to be worth it."""
        if len(self) >= _BATCH:
            self._count_pending()

    @staticmethod
    def merged(recorders: Sequence[Recorder]) -> Distribution:
        """Return everything that these have recorded as one value."""
        if len(recorders) <= 1:
            return recorders[0].freeze() if recorders else NO_VALUES
        together = Recorder()
        for recorder in recorders:
            together._absorb(recorder)
        return together.freeze()

    def _absorb(self, other: Recorder) -> None:
        self.extend(other)
        theirs = other._counted
        if isinstance(theirs, _SubBuckets):
            buckets = self._bucketed()
            buckets.update(theirs)
            buckets.sum += theirs.sum
            _bound(buckets)
        elif theirs:
            self._add(theirs)

    def merge(self, distribution: Distribution) -> None:
        """Record every value of the distribution, as often as it has it."""
        self._add(dict(zip(distribution.values, distribution.counts, strict=True)))

    def copy(self) -> Recorder:
        """Return another that has recorded the same. It is quick, for what a lock is held for."""
        copy = Recorder()
        copy.extend(self)
        copy._counted = None if self._counted is None else self._counted.copy()
        return copy

    def freeze(self) -> Distribution:
        """Return everything recorded so far as a value."""
        if self._counted is None and len(self) <= MAX_VALUES:
            values = tuple(sorted(set(self)))
            if len(values) == len(self):  # nearly always, of a name that has few
                return Distribution(values, _ones(len(values)))
        if len(self):
            self._count_pending()
        if isinstance(self._counted, _SubBuckets):
            return _bucketed(self._counted)
        counts: Mapping[float, int] = self._counted or {}
        values = tuple(sorted(counts))
        return Distribution(values, tuple(counts[value] for value in values))

    def _count_pending(self) -> None:
        counted = self._counted
        if isinstance(counted, _SubBuckets):
            counted.update(_indexes(self))
            counted.sum += sum(self)
            _bound(counted)
        else:
            self._add(Counter(self))
        del self[:]

    def _add(self, counts: Mapping[float, int]) -> None:
        if not isinstance(self._counted, _SubBuckets):
            values = self._counted = self._counted or Counter()
            values.update(counts)
            if len(values) > MAX_VALUES:
                self._bucketed()
            return
        self._counted.add(counts)

    def _bucketed(self) -> _SubBuckets:
        """Count in sub-buckets from now on, also what was counted before."""
        before = self._counted
        if isinstance(before, _SubBuckets):
            return before
        buckets = self._counted = _SubBuckets()
        buckets.add(before or {})
        return buckets


class _SubBuckets(Counter[int]):
    """How many values each sub-bucket has, by its index, and the sum of all values."""

    sum = 0.0

    def copy(self) -> _SubBuckets:
        """Return another of the same."""
        copy = _SubBuckets(self)
        copy.sum = self.sum
        return copy

    def add(self, counts: Mapping[float, int]) -> None:
        """Count values, each so often."""
        for index, count in zip(_indexes(array("d", counts)), counts.values(), strict=True):
            self[index] += count
        self.sum += fsum(value * count for value, count in counts.items())
        _bound(self)


class LimitedRecorder(Recorder):
    """Also counts, of each of the ``limits``, how many values are not above it."""

    __slots__ = ("_limits", "_within")

    def __init__(self, limits: tuple[float, ...]) -> None:
        super().__init__()
        self._limits = limits
        self._within = [0] * len(limits)  # of the counted values

    def within(self) -> list[int]:
        """Return how many of the recorded values are not above each limit."""
        return [
            counted + sum(value <= limit for value in self)
            for counted, limit in zip(self._within, self._limits, strict=True)
        ]

    def _count_pending(self) -> None:
        self._within = self.within()
        super()._count_pending()


def _indexes(values: array[float]) -> Iterable[int]:
    """Return the index of the sub-bucket that each value is in; it ascends with the value.

    The trick: the upper 16 bits of an IEEE 754 double are the sign (0 here), the 11 bits of the
    exponent, which is the power of two, and the first 4 bits of the mantissa, which are the 16
    linear parts of it. So they are the index, and a cast reads them from all values at once:
    with counting 0.15 µs a value, against 0.5 µs with ``math.frexp``. The index of 0.0 is 0.
    """
    upper = 3 if sys.byteorder == "little" else 0
    return memoryview(values).cast("B").cast("H")[upper::4]


@lru_cache(maxsize=MAX_VALUES + 1)
def _ones(count: int) -> tuple[int, ...]:
    """Return so many ones: thousands of distributions of as many values share them."""
    return (1,) * count


_double = Struct(">d").unpack


@lru_cache(maxsize=2 * _MAX_SUB_BUCKETS)
def _midpoint(index: int) -> float:
    """Return the middle of a sub-bucket; of the one at 0, which holds only zeros, 0."""
    midpoint: float = _double((index << 48 | 1 << 47).to_bytes(8, "big"))[0] if index else 0.0
    return midpoint


_NANOSECOND, _FLOOR, _MINUS_ZERO = _indexes(array("d", [1e-9, _SMALLEST, -0.0]))


def _bound(sub_buckets: Counter[int]) -> None:
    """Count −0.0 as 0 and, if there are too many sub-buckets, what is below a nanosecond too.

    No clock measures such times, but a hostile worker may send them, a thousand powers of two.
    """
    if _MINUS_ZERO in sub_buckets:
        sub_buckets[0] += sub_buckets.pop(_MINUS_ZERO)
    if len(sub_buckets) > _MAX_SUB_BUCKETS:
        for index in [index for index in sub_buckets if 0 < index < _NANOSECOND]:
            sub_buckets[0] += sub_buckets.pop(index)


def _bucketed(sub_buckets: _SubBuckets) -> Distribution:
    """Return at most 150 buckets of these sub-buckets."""
    buckets: dict[int, tuple[int, float]] = {}  # bucket → count, sum of the midpoints
    bucket_of = _joined(sub_buckets)
    for index, count in sub_buckets.items():
        counted, summed = buckets.get(bucket_of[index], (0, 0.0))
        buckets[bucket_of[index]] = counted + count, summed + count * _midpoint(index)
    estimate = fsum(summed for _, summed in buckets.values())
    correction = sub_buckets.sum / estimate if estimate else 1.0
    ascending = [counted_summed for _, counted_summed in sorted(buckets.items())]
    return Distribution(
        tuple(summed / counted * correction for counted, summed in ascending),
        tuple(counted for counted, _ in ascending),
    )


def _joined(sub_buckets: Iterable[int]) -> dict[int, int]:
    """Return sub-bucket → bucket, at most 150 different ones; a bucket's name is its lowest index.

    Neighbours are joined in pairs, from the smallest times on since nobody tunes those, until few
    enough buckets are left; if all are pairs and still too many, in fours, and so on.
    """
    bucket_of = {index: max(index, _FLOOR) for index in sub_buckets}
    width = 1
    while True:
        buckets = sorted(set(bucket_of.values()))
        surplus = len(buckets) - MAX_VALUES
        if surplus <= 0:
            return bucket_of
        width *= 2
        wider: dict[int, int] = {}
        previous = -1
        for bucket in buckets:
            wider[bucket] = bucket - bucket % width if surplus > 0 else bucket
            if wider[bucket] == previous:
                surplus -= 1
            previous = wider[bucket]
        bucket_of = {index: wider[bucket] for index, bucket in bucket_of.items()}
