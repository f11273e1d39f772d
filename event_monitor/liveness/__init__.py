"""Liveness: the signs by which a running monitor shows that it lives. Imports nothing slow."""

from __future__ import annotations

from .kept_note import KeptNote
from .liveness import Liveness, SignOfLife
from .names import Identity, address_of, beat_identity, worker_identity
from .notes import find_notes, read_note, runtime_dir, why_unbelieved, write_note

__all__ = [
    "Identity",
    "KeptNote",
    "Liveness",
    "SignOfLife",
    "address_of",
    "beat_identity",
    "find_notes",
    "read_note",
    "runtime_dir",
    "why_unbelieved",
    "worker_identity",
    "write_note",
]
