"""Publisher: keeps metrics until a sink has acknowledged them."""

from __future__ import annotations

from .publisher import Publisher, full_jitter
from .spool import Spool

__all__ = ["Publisher", "Spool", "full_jitter"]
