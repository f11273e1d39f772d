"""Sampling: which runs become rows. What succeeds is chosen before a value is made of it."""

from __future__ import annotations

__all__ = ["Budget", "SuccessSampler"]

_PER_SECOND = 5  # rows of what succeeds, on average
_BURST = 100  # of these at once: a small shop has all of its tasks
_BITS = 32
_ALL = 1 << _BITS
_MASK = _ALL - 1
_SLOW = 0.95  # of the slowest runtime of its name a minute ago: what takes longer is kept, too
_MAX_NAMES = 10_000


class Budget:
    """A token bucket: ``per_second`` rows, and ``burst`` at once. Not thread-safe."""

    def __init__(self, *, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = self._left = burst
        self._at = 0.0

    def allows(self, now: float) -> bool:
        """Return whether there is room for one more; ``now`` is a monotonic clock."""
        if now > self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
            self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class SuccessSampler:
    """Chooses about five a second by the hash of their ids, and those that are slow for their name.

    A task is chosen whole or not at all, as long as the share stays. A hundred may be chosen at
    once; then the share is halved with each further five, until ``adapt`` brings it up again.

    ``weigh`` is called for each task that succeeds, under the state's lock: some 0.2 µs. ``adapt``
    and ``take_count`` belong to the writer; a choice in between may count for either second.
    """

    def __init__(self) -> None:
        self._limit = _ALL  # a hash below it is chosen
        self._weight = 1.0
        self._left = float(_BURST)  # so many may be chosen before the share is halved
        self._seen = 0  # in all; only `weigh` changes it, so that none is missed
        self._adapted_to = self._taken = 0  # how many of these the writer has looked at
        self._slow: dict[str, float] = {}  # name → the runtime beyond which it is kept

    def weigh(self, uuid: str, name: str, runtime: float | None) -> float:
        """Return how many tasks this one stands for; 0 if it is not chosen."""
        self._seen += 1
        if runtime is not None and runtime > self._slow.get(name, -1.0):
            is_noted = self._note_slow(name, runtime)
            if is_noted and self._limit < _ALL:  # else it is chosen anyway
                return 1.0
        if hash(uuid) & _MASK >= self._limit:
            return 0.0
        weight = self._weight
        self._left -= 1.0
        if self._left <= 0.0 and self._left % _PER_SECOND < 1.0:
            self._share(self._limit // 2)
        return weight

    def adapt(self, seconds: float) -> None:
        """Choose the share anew, by what succeeded in the seconds since the last call.

        It grows twofold at most.
        """
        now_seen = self._seen
        seen, self._adapted_to = now_seen - self._adapted_to, now_seen
        self._left = max(-_BURST, min(_BURST, self._left + _PER_SECOND * seconds))
        has_room = self._left >= 2 * _PER_SECOND or not seen
        wanted = _ALL if has_room else max(1.0, self._left) / seen * _ALL
        self._share(int(min(_ALL, wanted, self._limit * 2)))

    def relax(self) -> None:
        """Begin another minute: what is slow is judged by the slowest of the one before."""
        self._slow = {name: limit * _SLOW for name, limit in self._slow.items() if limit > 1e-6}

    def take_count(self) -> int:
        """Return how many succeeded, chosen or not, since the last call."""
        seen = self._seen
        count, self._taken = seen - self._taken, seen
        return count

    def _note_slow(self, name: str, runtime: float) -> bool:
        has_room = name in self._slow or len(self._slow) < _MAX_NAMES
        if has_room:
            self._slow[name] = runtime
        return has_room

    def _share(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._weight = _ALL / self._limit
