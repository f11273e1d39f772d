"""Publisher: keeps metrics until a sink has acknowledged them."""

from __future__ import annotations

from .publisher import Publisher, full_jitter

__all__ = ["Publisher", "full_jitter"]
