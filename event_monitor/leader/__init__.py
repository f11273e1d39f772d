"""Leader: which of several monitors publishes. The others stand by, and count all the same."""

from __future__ import annotations

from .holder import Holder
from .leader import Leader
from .leaders import Leadership
from .lease import Lease, LeaseRefusedError
from .leases import lease_for, lease_name
from .windows import Windows

__all__ = [
    "Holder",
    "Leader",
    "Leadership",
    "Lease",
    "LeaseRefusedError",
    "Windows",
    "lease_for",
    "lease_name",
]
