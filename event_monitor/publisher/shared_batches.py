"""Shared batches: the metrics of windows that other monitors hold as well, until one sent them.

In memory: if this process ends, the others have them.
"""

from __future__ import annotations

import logging
import threading
import zlib
from dataclasses import dataclass

import msgspec

from ..metrics import Metric
from ..msgpack import encodable

__all__ = ["SharedBatches"]

log = logging.getLogger(__name__)

_COMPRESSION = 1  # of 9, as in the spool
_MOST_SETTLED = 1_000  # windows that are remembered, should they be appended late

_decoder = msgspec.msgpack.Decoder(tuple[Metric, ...])


@dataclass(slots=True)
class _Kept:
    metrics: int
    data: bytes


class SharedBatches:
    """Batches by the id of their window, oldest first, within ``megabytes``. Thread-safe.

    One that is settled need not be sent any more, whether it was appended already or comes later.
    """

    def __init__(self, *, megabytes: float) -> None:
        self._lock = threading.Lock()
        self._most_bytes = int(megabytes * 1_000_000)
        self._bytes = 0
        self._kept: dict[str, _Kept] = {}
        self._settled: dict[str, None] = {}
        self._dropped = 0

    def append(self, window: str, metrics: tuple[Metric, ...]) -> None:
        """Keep the metrics of a window, unless it is settled; the oldest go if there are too many.

        A window that was appended before keeps what it has.
        """
        kept = encodable(metrics)
        data = _pack(kept)
        with self._lock:
            self._dropped += len(metrics) - len(kept)
            if window in self._settled or window in self._kept or not kept:
                return
            self._put(window, kept, data)
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                oldest = self._take(next(iter(self._kept)))
                self._dropped += oldest
                log.error("dropped the oldest %d unsent metrics: too many", oldest)

    def oldest(self) -> tuple[str, tuple[Metric, ...]] | None:
        """Return the window to send next, and its metrics; None if there is none."""
        with self._lock:
            for window, kept in self._kept.items():
                return window, _unpack(kept.data)
        return None

    def replace(self, window: str, rest: tuple[Metric, ...]) -> None:
        """End the sending of a window: only ``rest`` of it has to be sent again, if anything."""
        with self._lock:
            if window not in self._kept:
                return
            if not rest:
                self._settle(window)
                return
            kept = self._kept[window]
            data = _pack(rest)
            self._bytes += len(data) - len(kept.data)
            kept.metrics, kept.data = len(rest), data

    def settle(self, window: str) -> None:
        """Forget a window: another monitor has sent it, or does."""
        with self._lock:
            self._settle(window)

    def windows(self) -> tuple[str, ...]:
        """Return the windows that are kept, oldest first."""
        with self._lock:
            return tuple(self._kept)

    def size(self, window: str) -> int:
        """Return how many metrics of a window are kept."""
        with self._lock:
            return self._kept[window].metrics if window in self._kept else 0

    def take(self, window: str) -> tuple[Metric, ...]:
        """Return what is kept of a window, and keep it no more."""
        with self._lock:
            kept = self._kept.get(window)
            self._settle(window)
        return () if kept is None else _unpack(kept.data)

    def take_dropped(self) -> int:
        """Return how many metrics were dropped since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def __len__(self) -> int:
        """Return how many metrics are kept."""
        with self._lock:
            return sum(kept.metrics for kept in self._kept.values())

    # -- under the lock ------------------------------------------------------------------------

    def _put(self, window: str, metrics: tuple[Metric, ...], data: bytes) -> None:
        self._kept[window] = _Kept(len(metrics), data)
        self._bytes += len(data)

    def _take(self, window: str) -> int:
        kept = self._kept.pop(window, None)
        if kept is None:
            return 0
        self._bytes -= len(kept.data)
        return kept.metrics

    def _settle(self, window: str) -> None:
        self._take(window)
        self._settled[window] = None
        if len(self._settled) > _MOST_SETTLED:
            self._settled.pop(next(iter(self._settled)))


def _unpack(data: bytes) -> tuple[Metric, ...]:
    return _decoder.decode(zlib.decompress(data))


def _pack(metrics: tuple[Metric, ...]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(metrics), _COMPRESSION)
