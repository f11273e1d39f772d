"""Ledger: which messages of the durable queue were counted, so that none is counted twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

__all__ = ["Ledger", "digest_of"]

_DIGEST_BYTES = 8  # of 20,000 messages two have the same with a probability of 1 in 10¹¹


def digest_of(body: bytes) -> bytes:
    """Return what a message is recognised by when it is delivered again."""
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()


class Ledger:
    """The digests of the last messages counted: at least ``limit`` of them, at most twice that.

    Not thread-safe. ``digests`` are those of an earlier ledger, as ``to_bytes`` returned them.
    """

    def __init__(self, limit: int, digests: bytes = b"") -> None:
        self._limit = limit
        self._young: dict[bytes, None] = {}
        self._old: dict[bytes, None] = {}
        for start in range(0, len(digests), _DIGEST_BYTES):
            self.add(digests[start : start + _DIGEST_BYTES])

    @staticmethod
    def count(digests: bytes) -> int:
        """Return how many digests the bytes hold."""
        return len(digests) // _DIGEST_BYTES

    def add(self, digest: bytes) -> None:
        """Remember one more; forget the older half when the younger is full."""
        self._young.pop(digest, None)  # a digest that comes again becomes the youngest
        self._young[digest] = None
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}

    def forget(self, digests: Iterable[bytes]) -> None:
        """Let these count when they come again; another thread may do it."""
        for digest in digests:
            self._young.pop(digest, None)
            self._old.pop(digest, None)

    def __contains__(self, digest: object) -> bool:
        return digest in self._young or digest in self._old

    def to_bytes(self) -> bytes:
        """Return the last ``limit`` digests, oldest first, as the constructor takes them.

        Not all: a successor would take their number for its limit, and twice as many every time.
        """
        digests = [digest for digest in self._old if digest not in self._young]
        return b"".join([*digests, *self._young][-self._limit :])
