"""Distribution: value → count, bounded, mergeable. Knows nothing of where values come from.

While there are few distinct values they are kept as they are. Beyond the limit they share
buckets: sixteen in each doubling, or fewer where the smallest are, if that makes more than 150. A
bucket is represented by the mean of the middles of its sixteenths, and all are corrected by the one
factor that makes their sum right: so count and sum stay exact. A percentile is off by half a bucket
(3 % of its value, of a small one 6 % where times spread over more than 1 : 600), and by twice that
at the very worst.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import fsum
from struct import Struct

__all__ = ["MAX_VALUES", "NO_VALUES", "Distribution", "Recorder"]

MAX_VALUES = 150  # unique values per datum: PutMetricData's limit
_SMALLEST = 1e-4  # seconds; everything below shares one bucket, since nobody tunes 0.1 ms
_MAX_SIXTEENTHS = 1_100  # from a nanosecond to the year 3000 there are fewer


@dataclass(frozen=True, slots=True)
class Distribution:
    """An immutable set of values with their counts.

    ``values`` ascend and are distinct, at most 150; ``counts`` are ≥ 1 and as long as ``values``.
    """

    values: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def merged(cls, distributions: Iterable[Distribution]) -> Distribution:
        """One distribution that holds every value of the given ones; count and sum add up."""
        recorder = Recorder()
        for one in distributions:
            recorder.merge(one)
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
        """Return the smallest value that at least ``percent`` of all values do not exceed.

        That is the nearest rank, so it is a value that occurred. Raises ``ValueError`` when empty.
        """
        if not self.counts:
            raise ValueError("an empty distribution has no percentiles")
        rank = self.count * percent / 100
        reached = accumulate(self.counts)
        return next(
            (value for value, count in zip(self.values, reached, strict=True) if count >= rank),
            self.values[-1],
        )

    def __bool__(self) -> bool:
        return bool(self.counts)


NO_VALUES = Distribution()

_ENOUGH = 32  # values worth a trip to their buckets: those of all names do not fit in a cache


class Recorder:
    """Collects values one by one; the mutable half of ``Distribution``. Not thread-safe.

    ``record(value)``, seconds ≥ 0, only notes it: it is the ``append`` of an array. ``compact``
    counts what is noted, in bulk, and has to be called now and then; what is left is bounded.
    """

    __slots__ = ("_noted", "_sixteenths", "_sum", "_values", "record")

    def __init__(self) -> None:
        self._noted = array("d")
        self.record: Callable[[float], None] = self._noted.append
        self._values: Counter[float] | None = None  # as they are, until there are too many
        self._sixteenths: Counter[int] | None = None  # by number, afterwards
        self._sum = 0.0  # of what is in the sixteenths

    def compact(self) -> None:
        """Count what was recorded, if it is enough to be worth it."""
        if len(self._noted) >= _ENOUGH:
            self._count()

    def merge(self, distribution: Distribution) -> None:
        """Record everything that is in it."""
        self._add(dict(zip(distribution.values, distribution.counts, strict=True)))

    def freeze(self) -> Distribution:
        """Everything recorded so far, as a value."""
        if self._noted:
            self._count()
        if self._sixteenths is not None:
            return _distribution(self._sixteenths, self._sum)
        counts: Mapping[float, int] = self._values or {}
        values = tuple(sorted(counts))
        return Distribution(values, tuple(counts[value] for value in values))

    def _count(self) -> None:
        if self._sixteenths is None:
            self._add(Counter(self._noted))
        else:
            self._sixteenths.update(_numbers(self._noted))
            self._sum += sum(self._noted)
            _bound(self._sixteenths)
        del self._noted[:]

    def _add(self, counts: Mapping[float, int]) -> None:
        if self._sixteenths is None:
            values = self._values = self._values or Counter()
            values.update(counts)
            if len(values) <= MAX_VALUES:
                return
            counts, self._values, self._sixteenths = values, None, Counter()
        for number, count in zip(_numbers(array("d", counts)), counts.values(), strict=True):
            self._sixteenths[number] += count
        self._sum += fsum(value * count for value, count in counts.items())
        _bound(self._sixteenths)


def _numbers(values: array[float]) -> Iterable[int]:
    """The number of the sixteenth of its doubling that each value is in.

    That is the upper quarter of the value's own bits: the sign, which is 0, the exponent, and the
    first four bits of the mantissa. Ascends with the value; 0 is the number of 0.
    """
    quarters = memoryview(values).cast("B").cast("H")
    return quarters[3 if sys.byteorder == "little" else 0 :: 4]


@lru_cache(maxsize=2 * _MAX_SIXTEENTHS)
def _middle(number: int) -> float:
    """The middle of a sixteenth. That of 0 is 0: there is nothing else in it."""
    middle: float = _float((number << 48 | 1 << 47).to_bytes(8, "big"))[0] if number else 0.0
    return middle


_float = Struct(">d").unpack
_NANOSECOND, _TENTH, _MINUS_ZERO = _numbers(array("d", [1e-9, _SMALLEST, -0.0]))


def _bound(sixteenths: Counter[int]) -> None:
    """A hostile worker may tell of times that nobody can measure: let them be zero."""
    if _MINUS_ZERO in sixteenths:
        sixteenths[0] += sixteenths.pop(_MINUS_ZERO)
    if len(sixteenths) > _MAX_SIXTEENTHS:
        for number in [one for one in sixteenths if 0 < one < _NANOSECOND]:
            sixteenths[0] += sixteenths.pop(number)


def _distribution(sixteenths: Mapping[int, int], total: float) -> Distribution:
    """At most 150 buckets of these sixteenths, with the right sum."""
    buckets: dict[int, tuple[int, float]] = {}
    bucket_of = _shared(sixteenths)
    for number, count in sixteenths.items():
        counted, summed = buckets.get(bucket_of[number], (0, 0.0))
        buckets[bucket_of[number]] = counted + count, summed + count * _middle(number)
    guessed = fsum(summed for _, summed in buckets.values())
    right = total / guessed if guessed else 1.0
    ordered = [counted_summed for _, counted_summed in sorted(buckets.items())]
    return Distribution(
        tuple(summed / counted * right for counted, summed in ordered),
        tuple(counted for counted, _ in ordered),
    )


def _shared(sixteenths: Iterable[int]) -> dict[int, int]:
    """The bucket of each sixteenth, by the bucket's first: 150 of them at the most.

    As many neighbours share one as must, from the smallest times on: nobody tunes those.
    """
    bucket_of = {number: max(number, _TENTH) for number in sixteenths}
    width = 1
    while (surplus := len(firsts := sorted(set(bucket_of.values()))) - MAX_VALUES) > 0:
        width *= 2
        wider, last = {}, -1
        for first in firsts:
            wider[first] = first - first % width if surplus > 0 else first
            surplus -= wider[first] == last
            last = wider[first]
        bucket_of = {number: wider[first] for number, first in bucket_of.items()}
    return bucket_of
