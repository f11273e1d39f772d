"""Lease: what a leader holds, and nobody else meanwhile. Lost if it is not renewed."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ANSWER_SECONDS", "Lease", "LeaseRefusedError"]

ANSWER_SECONDS = 2.0  # within which whoever keeps the lease has to answer


class LeaseRefusedError(Exception):
    """The broker lets us have no lease at all: we have not the right. The text says why."""


class Lease(Protocol):
    """The contract of every lease. For one thread at a time; making one connects to nothing.

    ``acquire`` and ``renew`` answer within a few seconds. They raise ``LeaseRefusedError`` where
    there can be no lease, and ``OSError`` where the broker does not answer.

    ``name`` is what it is called on the broker. ``renew_seconds`` is how often it has to be
    renewed, and ``safe_seconds`` for how long after a renewal nobody else can have it.
    ``grace_seconds`` is how long the holder before us may believe, after we got it, that it still
    has it.
    """

    name: str
    renew_seconds: float
    safe_seconds: float
    grace_seconds: float

    def acquire(self) -> bool:
        """Take it unless another holds it; return whether it is ours."""
        ...

    def renew(self) -> bool:
        """Keep it; return whether it is still ours."""
        ...

    def holder(self) -> str:
        """Return who held it when we last could not have it, for people; empty if unknown."""
        ...

    def release(self) -> None:
        """Let another have it at once, if it is ours, and close the connection. Never raises."""
        ...
